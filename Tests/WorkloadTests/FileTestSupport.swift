@testable import Workload

/// The message of the error that `body` throws, or nil.
func message(_ body: () throws(WorkloadError) -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return error.description
  }
}

/// A value as if written in `w.yaml` after `v: `.
func value(_ text: String) throws -> PositionedValue {
  var reader = try PositionedValue(SourceNode.parse("v: " + text, file: "w.yaml"), path: "")
    .mapping()
  return try reader.required("v", "a value")
}

let smallProfile = """
  name: tiny
  head: {cpus: 0}
  nodes:
    - {cpus: 2}
  network: {latency: 50us, nic: 10Gbps}
  service:
    raylet: {default: 10us, Heartbeat: 2us}
  """

let mixedProfile = """
  name: mixed
  nodes:
    - {name: gpu, count: 2, cpus: 8, gpus: 4, resources: {licence: 0.5}}
    - {name: cpu, cpus: 64, speed: 1.5}
  network: {model: fifo-nic, latency: 30us, rack: {size: 2, uplink: 40Gbps}}
  """

let testFiles = FileReader([
  "clusters/tiny.yaml": smallProfile, "clusters/mixed.yaml": mixedProfile,
  "clusters/broken.yaml": "name: broken\nnodes: [{cpus: 2}]\nnetwork: {latency: 30}\n",
])

/// A workload file in `paper/w.yaml` beside the test profiles.
func workload(_ text: String) throws(WorkloadError) -> WorkloadFile {
  try WorkloadFile(text: text, path: "paper/w.yaml", files: testFiles)
}

/// The lines every workload file needs, six of them, and then `more`.
func workload(more: String) throws(WorkloadError) -> WorkloadFile {
  try workload(minimal + more)
}

let minimal = """
  experiment: try-1
  title: A try
  cluster: {profile: ../clusters/tiny.yaml, nodes: 4}
  workload:
    generator: independent
    with: {tasks: 100, duration: 1ms}

  """
