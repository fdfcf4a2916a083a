import Heliostat
import Primitives

/// The sum of 1 … n with an `add` that takes half a second: as a chain of n − 1 dependent additions, or
/// as a tree of depth log₂ n. The same work, and the tree ends sooner by as much as it is shallower.
struct TreeReduce: WorkloadProgram {
  static let name = "tree-reduce"
  static let summary = "the sum of 1…n with a slow add, as a chain and as a tree"
  static let measures = [Measure("makespan", "s"), Measure("sum", "count")]

  enum Shape: String, CaseIterable, Sendable { case chain, tree }

  let shape: Shape
  let count: Int
  let duration: TimeSpan

  init(_ with: inout MappingReader) throws(WorkloadError) {
    shape = try with.choice("shape", default: .tree)
    count = try with.int("count", default: 8, in: 2...1_000_000)
    duration = try with.duration("duration", default: .milliseconds(500))
  }

  func register(_ library: FunctionLibrary) -> RemoteFunction<Int, Int, Int> {
    library.remote("add", TaskOptions(duration: duration, outputSize: ByteCount(8))) {
      [duration] (a: Int, b: Int) in
      TaskContext.spend(duration)
      return a + b
    }
  }

  func run(
    _ ray: Session, _ add: RemoteFunction<Int, Int, Int>, _ sink: MeasureSink
  ) async throws {
    let start = ray.now
    var inputs = (1...count).map { Argument.value($0) }
    switch shape {
    case .chain:
      while inputs.count > 1 {
        inputs.replaceSubrange(0..<2, with: [.ref(ray.submit(add, inputs[0], inputs[1]))])
      }
    case .tree:
      while inputs.count > 1 {
        var next: [Argument<Int>] = []
        for i in stride(from: 0, to: inputs.count - 1, by: 2) {
          next.append(.ref(ray.submit(add, inputs[i], inputs[i + 1])))
        }
        if inputs.count % 2 == 1 { next.append(inputs[inputs.count - 1]) }
        inputs = next
      }
    }
    guard case .ref(let result) = inputs[0] else { return }
    let sum = try await ray.get(result)
    guard sum == count * (count + 1) / 2 else {
      throw ProgramError("the sum of 1…\(count) came out as \(sum)")
    }
    sink.report("makespan", ray.now.since(start).seconds, unit: "s")
    sink.report("sum", Double(sum), unit: "count")
  }
}
