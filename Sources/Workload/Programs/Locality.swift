import Heliostat
import Primitives

/// Tasks that each depend on one object at a random node (OSDI'18 §5.1, Fig 8a).
///
/// Time and again an object is made on a node drawn at random, and a task is submitted that reads it;
/// its latency runs from submission until the driver knows that it has finished. Nodes are told apart
/// by custom resources `site0`, `site1`, … of the cluster. Whether placement sees object locations is
/// the policy's business: `LowestWait[locality=on]` against `[locality=off]`.
struct Locality: WorkloadProgram {
  static let name = "locality"
  static let summary = "tasks that each read one randomly located object (Fig 8a)"
  static let measures = [Measure("mean task latency", "s")]

  let tasks: Int
  let objectSize: ByteCount
  let duration: TimeSpan

  init(_ with: inout MappingReader) throws(WorkloadError) {
    tasks = try with.int("tasks", default: 1000, in: 1...10_000_000)
    objectSize = try with.size("object-size")
    duration = try with.duration("duration", default: .zero)
  }

  var largestObject: ByteCount { objectSize }

  struct Functions: Sendable {
    let produce: RemoteFunction<Void>
    let consume: RemoteFunction<Void>
  }

  func register(_ library: FunctionLibrary) -> Functions {
    Functions(
      produce: library.modelled("produce", TaskOptions(outputSize: objectSize)),
      consume: library.modelled(
        "consume", TaskOptions(duration: duration, outputSize: ByteCount(8))))
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    var random = RandomStream(seed: ray.seed, stream: 0x4C4F43)
    let sites = ray.lanes(named: "site")
    guard !sites.isEmpty else {
      throw ProgramError("the cluster's nodes have no resources site0, site1, … to tell them apart")
    }
    let log = sink.latency("task latency")
    var sum = 0.0
    for _ in 0..<tasks {
      // A fresh object each time, on a node drawn at random: copies that earlier tasks pulled must
      // not help later ones.
      var options = functions.produce.options
      options.resources = .zero
      options.resources.lanes[sites[Int(random.below(UInt64(sites.count)))]] = 1
      let object = ray.submit(functions.produce, options: options)
      _ = try await ray.wait([object], fetch: false)
      let start = ray.now
      let task = ray.submit(functions.consume, after: [object])
      _ = try await ray.wait([task], fetch: false)
      let latency = ray.now.since(start)
      log.record(latency)
      sum += latency.seconds
      ray.free([task])
      ray.free([object])
    }
    sink.report("mean task latency", sum / Double(tasks), unit: "s")
  }
}
