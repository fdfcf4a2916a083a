import Heliostat
import Primitives
import RealWorld
import Testing

/// What a driver leaves behind, through the API.
@Suite("The end of a driver", .timeLimit(.minutes(10)))
struct DriverEndTests {
  @Test(
    "Queued tasks, actors and large objects of a program that ended are gone; the next one works")
  func leavesNothing() async throws {
    let cluster = try Cluster.inProcess(cpus: 2, store: ByteCount(64 << 20))
    let load = cluster.library.modelled(
      "load", TaskOptions(duration: .milliseconds(1), outputSize: ByteCount(100_000)))
    let counter = cluster.library.actorClass("counter") { 0 }
    let add = cluster.library.method("add", of: counter) { (state: inout Int, more: Int) in
      state += more
      return state
    }
    let double = cluster.library.remote("double") { (x: Int) in 2 * x }
    let outer = cluster.library.program("outer") { (ray: Session, count: Int) in
      let inner = (0..<count).map { _ in ray.submit(load) }
      try await ray.get(inner)
    }
    for round in 0..<3 {
      try await cluster.run { ray in
        _ = try await ray.put(Vector([Double](repeating: 1, count: 200_000)))
        for _ in 0..<500 { _ = ray.submit(load) }
        let actor = ray.create(counter, options: TaskOptions(resources: .zero))
        let sums = (0..<500).map { ray.call(actor, add, .value($0)) }
        _ = ray.submit(outer, .value(1000))
        #expect(try await ray.get(sums[2]) == 3)
      }
      let answer = try await cluster.run { ray in try await ray.get(ray.submit(double, .value(21)))
      }
      #expect(answer == 42, "round \(round)")
    }
    let total = ResourceVector(cpus: 2)
    while let status = await cluster.status(),
      !status.isEmpty || status.available != total || status.names > 0
    {}
    await cluster.stop()
  }

  @Test("The actors of an ended program give their CPUs back")
  func actors() async throws {
    let cluster = try Cluster.inProcess(cpus: 2, store: ByteCount(64 << 20))
    let holder = cluster.library.actorClass(
      "holder", TaskOptions(resources: ResourceVector(cpus: 1))
    ) { 0 }
    for _ in 0..<4 {
      try await cluster.run { ray in
        let actors = (0..<2).map { _ in ray.create(holder) }
        for actor in actors { try await ray.get(actor.created) }
      }
    }
    await cluster.stop()
  }
}
