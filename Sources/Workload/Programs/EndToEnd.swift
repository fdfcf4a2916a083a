import Heliostat
import Primitives

/// The walk-through of the paper's Fig 7: `c = add(a, b)` with the driver and `a` on node 0, `b` on
/// node 1. The task goes through the global scheduler to node 1, which copies `a`; `get(c)` registers a
/// callback in the object table and copies `c` back.
struct EndToEnd: WorkloadProgram {
  static let name = "end-to-end"
  static let summary = "add(a, b) with a and b on two nodes, message by message (Fig 7)"
  static let measures = [
    Measure("walk begins", "s"), Measure("end-to-end latency", "s"), Measure("get latency", "s"),
  ]

  let sizeA: ByteCount
  let sizeB: ByteCount
  let duration: TimeSpan

  init(_ with: inout MappingReader) throws(WorkloadError) {
    sizeA = try with.size("a", default: ByteCount(1_000))
    sizeB = try with.size("b", default: ByteCount(1_000_000))
    duration = try with.duration("duration", default: .milliseconds(10))
  }

  var largestObject: ByteCount { max(sizeA, sizeB) }
  var driverNode: NodeID? { NodeID(0) }

  // The figure begins with the announcement of `add`.
  var announcesFunctions: Bool { false }

  struct Functions: Sendable {
    let makeB: RemoteFunction<Sized<Int>>
    let add: RemoteFunction<Sized<Int>, Sized<Int>, Int>
  }

  func register(_ library: FunctionLibrary) -> Functions {
    Functions(
      makeB: library.remote("make_b", TaskOptions(outputSize: sizeB, resources: .zero)) {
        [sizeB] in Sized(4, size: sizeB)
      },
      add: library.remote("add", TaskOptions(duration: duration, outputSize: ByteCount(8))) {
        [duration] (a: Sized<Int>, b: Sized<Int>) in
        TaskContext.spend(duration)
        return a.value + b.value
      })
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    let sites = ray.lanes(named: "site")
    guard sites.count > 1 else {
      throw ProgramError("the cluster's nodes have no resources site0 and site1")
    }
    var elsewhere = functions.makeB.options
    elsewhere.resources.lanes[sites[1]] = 1
    ray.announce(functions.makeB)
    let b = ray.submit(functions.makeB, options: elsewhere)
    _ = try await ray.wait([b], fetch: false)
    let a = try await ray.put(Sized(3, size: sizeA), size: sizeA)
    // Everything before has settled: what follows is the figure, its steps one after another.
    await ray.sleep(.milliseconds(50))
    sink.report("walk begins", ray.now.seconds, unit: "s")
    ray.announce(functions.add)
    await ray.sleep(.milliseconds(10))
    let submitted = ray.now
    let c = ray.submit(functions.add, .ref(a), .ref(b))
    // Fig 7b begins while the task runs: `get` finds no entry in the object table.
    await ray.sleep(TimeSpan(nanoseconds: duration.nanoseconds / 2))
    let start = ray.now
    let sum = try await ray.get(c)
    guard sum == 7 else { throw ProgramError("add(3, 4) came out as \(sum)") }
    sink.report("end-to-end latency", ray.now.since(submitted).seconds, unit: "s")
    sink.report("get latency", ray.now.since(start).seconds, unit: "s")
  }
}
