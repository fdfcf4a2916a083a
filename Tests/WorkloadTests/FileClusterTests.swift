import Foundation
import Primitives
import Testing

@testable import Workload

@Suite("Cluster profiles")
struct FileClusterTests {
  static var folder: String {
    // Tests/WorkloadTests/<this file> → the root of the repository.
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.appendingPathComponent("Workloads/clusters").path
  }

  @Test("every profile of the repository loads, and is named after its file")
  func repository() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder)
      .filter { $0.hasSuffix(".yaml") }
    #expect(names.count >= 4)
    for name in names {
      let profile = try ClusterProfile.load(Self.folder + "/" + name)
      #expect(profile.name + ".yaml" == name)
      #expect(!profile.source.isEmpty && !profile.description.isEmpty)
      #expect(profile.service.components.count == 4)
    }
  }

  @Test("the paper's CPU cluster holds the published figures")
  func paper() throws {
    let profile = try ClusterProfile.load(Self.folder + "/m4.16xlarge.yaml")
    #expect(profile.head.cpus == 0)
    #expect(profile.groups.map(\.node.cpus) == [64])
    #expect(profile.groups[0].node.store == ByteCount(77_000_000_000))
    #expect(profile.network.nic == Bandwidth(bytesPerSecond: 3.125e9))
    #expect(abs(profile.network.connection.bytesPerSecond - 1.425e9) < 1)
    #expect(profile.network.latency == .microseconds(30))
    #expect(profile.store.put.fixed == .microseconds(54))
    #expect(profile.store.threadedAbove == ByteCount(500_000))
    #expect(profile.store.threadedPut?.bandwidth == Bandwidth(bytesPerSecond: 15.3e9))
    #expect(profile.store.chunk == ByteCount(5 << 20))
  }

  @Test("keys that are left out take the documented defaults")
  func defaults() throws {
    let profile = try ClusterProfile(
      text: "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 1us}\n", file: "c.yaml")
    #expect(profile.head.cpus == 0 && profile.head.store == ByteCount(100_000_000_000))
    #expect(profile.groups[0].count == nil && profile.groups[0].node.speed == 1)
    #expect(profile.network.model == .maxMin && profile.network.nic == .unlimited)
    #expect(profile.network.localLatency == .microseconds(5) && profile.network.rack == nil)
    #expect(profile.service.components.isEmpty && profile.worker.start == .zero)
    #expect(profile.store.threadedPut == nil && profile.store.chunksInFlight == 4)
    #expect(profile.store.put.bandwidth == .unlimited)
  }

  @Test("service times keep the order and the places of their messages")
  func service() throws {
    let profile = try ClusterProfile(text: smallProfile, file: "c.yaml")
    let entries = profile.service.entries(of: "raylet")
    #expect(entries.map(\.message) == ["default", "Heartbeat"])
    #expect(entries.map(\.time) == [.microseconds(10), .microseconds(2)])
    #expect(entries[1].position.description == "c.yaml:7:27")
    #expect(profile.service.entries(of: "gcs").isEmpty)
  }

  @Test(
    "a bad profile names the place and the way out",
    arguments: [
      ("nodes: [{cpus: 2}]", "1:1: the file has no key 'name'; expected a text; add 'name: …'"),
      (
        "name: n\nnodse: [{cpus: 2}]",
        "2:1: unknown key 'nodse'; did you mean 'nodes'?"
      ),
      ("name: n\nnodes: []", "2:8: 'nodes' is an empty list; expected a node group"),
      (
        "name: n\nnodes: {cpus: 2}", "2:8: 'nodes' is a mapping; expected a list"
      ),
      (
        "name: n\nnodes: [{cups: 2}]",
        "2:10: unknown key 'cups' in 'nodes[0]'; did you mean 'cpus'?"
      ),
      (
        "name: n\nnodes: [{cpus: 2}, {cpus: 4}]",
        "2:20: two groups have no count (the other is in line 2); expected at most one group "
          + "that takes the rest; add 'count: …'"
      ),
      (
        "name: n\nnodes: [{name: a, count: 1, cpus: 2}, {name: a, cpus: 4}]",
        "2:46: two groups are named 'a'; rename one"
      ),
      (
        "name: n\nnodes: [{cpus: 2, resources: {GPU: 1}}]",
        "2:31: 'GPU' is not a custom resource; write 'gpus:' beside 'resources:'"
      ),
      (
        "name: n\nnodes: [{cpus: 2, resources: {tpu: 0.00001}}]",
        "2:36: 'nodes[0].resources.tpu' is '0.00001'; expected 0, or at least 0.0001, the "
          + "precision of resources"
      ),
      (
        "name: n\nnodes: [{cpus: 2, speed: 0}]",
        "2:26: 'nodes[0].speed' is '0'; expected a number from 0.001 to 1000.0"
      ),
      (
        "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 30}",
        "3:20: 'network.latency' is '30'; expected a duration with a unit, such as 57.5us, "
          + "100ms or 2min; a unit is needed: write 30us, 30ms or 30s"
      ),
      (
        "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 1us, model: maxmin}",
        "3:32: 'network.model' is 'maxmin'; expected one of constant, latency-bandwidth, "
          + "fifo-nic, max-min; did you mean 'max-min'?"
      ),
      (
        "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 1us, nic: 25}",
        "3:30: 'network.nic' is '25'; expected a rate, such as 25Gbps, 1.42GB/s or unlimited; "
          + "a unit is needed: write 25Gbps or 25GB/s"
      ),
      (
        "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 1us}\nservice: {ralyet: {default: 1us}}",
        "4:11: unknown component 'ralyet' in 'service'; did you mean 'raylet'?"
      ),
      (
        "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 1us}\nstore: {chunk: 0B}",
        "4:16: 'store.chunk' is '0B'; expected at least 1B"
      ),
      (
        "name: n\nnodes: [{cpus: 2}]\nnetwork: {latency: 1us}\nstore: {threaded-put: {fixed: 1us}}",
        "4:23: 'store.threaded-put' has no key 'above'; expected a size with a unit, such as "
          + "512B, 100KB, 25MB or 5MiB; add 'above: …'"
      ),
    ])
  func bad(text: String, expected: String) {
    #expect(
      message { () throws(WorkloadError) in _ = try ClusterProfile(text: text, file: "c.yaml") }
        == "c.yaml:" + expected)
  }

  @Test("a group without count takes what the others leave, and racks fill in order")
  func mixed() throws {
    let file = try workload(
      minimal.replacingOccurrences(of: "tiny.yaml, nodes: 4", with: "mixed.yaml, nodes: 5"))
    #expect(file.cluster.nodes.map(\.gpus) == [4, 4, 0, 0, 0])
    #expect(file.cluster.nodes.map(\.rack) == [0, 0, 1, 1, 2])
    #expect(file.cluster.nodes.map(\.group) == ["gpu", "gpu", "cpu", "cpu", "cpu"])
    var names = ResourceNames()
    let vector = try file.cluster.nodes[0].vector(in: &names)
    #expect(names.describe(vector) == "{CPU: 8, GPU: 4, licence: 0.5}")
  }

  @Test(
    "the number of nodes is a total, or a count for each group",
    arguments: [
      ("mixed.yaml, nodes: {gpu: 1, cpu: 2}", 3, nil),
      ("mixed.yaml, nodes: {cpu: 2}", 4, nil),
      ("tiny.yaml, nodes: 7", 7, nil),
      (
        "tiny.yaml", 0,
        "3:10: the number of nodes is missing: a group of 'tiny' has no count; expected a total, "
          + "or a count for each group; add 'nodes: …' to 'cluster'"
      ),
      (
        "mixed.yaml, nodes: 1", 0,
        "3:51: the groups of 'mixed' alone have 2 nodes, 'cluster.nodes' is 1; expected at least 2"
      ),
      (
        "mixed.yaml, nodes: {gpus: 1}", 0,
        "3:52: unknown key 'gpus' in 'cluster.nodes'; did you mean 'gpu'?"
      ),
      (
        "mixed.yaml, nodes: {gpu: 0, cpu: 0}", 0,
        "3:51: the cluster has no nodes; expected 1 to 100000 nodes besides the head"
      ),
      (
        "tiny.yaml, nodes: 99999999999", 0,
        "3:50: 'cluster.nodes' is '99999999999'; expected a whole number from 1 to 100000"
      ),
      (
        "tiny.yml, nodes: 2", 0,
        "3:20: there is no file 'clusters/tiny.yml'; did you mean 'tiny.yaml'?"
      ),
    ] as [(String, Int, String?)])
  func counts(text: String, nodes: Int, expected: String?) throws {
    let yaml = minimal.replacingOccurrences(of: "tiny.yaml, nodes: 4", with: text)
    if let expected {
      #expect(
        message { () throws(WorkloadError) in _ = try workload(yaml) }
          == "paper/w.yaml:" + expected)
    } else {
      #expect(try workload(yaml).cluster.nodes.count == nodes)
    }
  }

  @Test("an override is merged over the profile; its messages point into the workload file")
  func overrides() throws {
    func text(_ more: String) -> String {
      minimal.replacingOccurrences(of: "nodes: 4", with: "nodes: 4, " + more)
    }
    let file = try workload(
      text("network: {latency: 1ms}, service: {raylet: {Heartbeat: 9us}, gcs: {default: 3us}}"))
    #expect(file.cluster.profile.network.latency == .milliseconds(1))
    #expect(file.cluster.profile.network.nic == Bandwidth(bytesPerSecond: 1.25e9))
    let raylet = file.cluster.profile.service.entries(of: "raylet")
    #expect(raylet.map(\.time) == [.microseconds(10), .microseconds(9)])
    #expect(file.cluster.profile.service.entries(of: "gcs").map(\.time) == [.microseconds(3)])
    #expect(
      message { () throws(WorkloadError) in _ = try workload(text("network: {latncy: 1ms}")) }
        == "paper/w.yaml:3:63: unknown key 'latncy' in 'network'; did you mean 'latency'?")
  }

  @Test("an error inside the profile points into the profile")
  func inside() {
    let text = minimal.replacingOccurrences(of: "tiny", with: "broken")
    let error = message { () throws(WorkloadError) in _ = try workload(text) }
    #expect(error?.hasPrefix("clusters/broken.yaml:3:20: 'network.latency' is '30'") == true)
  }
}
