import Heliostat
import Primitives

/// Actors whose constructors take arguments, and what their arguments come from.
public struct StartFunctions: Sendable {
  /// Throws for what is below zero.
  public let counter: ActorClass<Int, Int>
  public let next: ActorMethod<Int, Int>
  public let record: ActorClass<[String], String, Int, Vector<Double>, ObjectRef<Int>>
  public let read: ActorMethod<[String], [String]>
  /// Keeps the numbers that it was given.
  public let keeper: ActorClass<Vector<Double>, Vector<Double>>
  public let sum: ActorMethod<Vector<Double>, Double>
  public let late: RemoteFunction<Int, Int>
  public let fail: RemoteFunction<String, Int>
  public let text: RemoteFunction<String>
  /// More than any node has.
  public let never: RemoteFunction<Int>

  public init(_ library: FunctionLibrary) {
    let free = TaskOptions(resources: .zero)
    counter = library.actorClass("start.Counter", free) { (start: Int) in
      if start < 0 { throw FixtureError(text: "\(start) is below zero") }
      return start
    }
    next = library.method("next", of: counter) { (count: inout Int) in
      count += 1
      return count
    }
    record = library.actorClass("start.Record", free) {
      (name: String, count: Int, numbers: Vector<Double>, other: ObjectRef<Int>) in
      [name, "\(count)", "\(numbers.count)", "\(numbers.reduce(0, +))", "\(other.id.index)"]
    }
    read = library.method("read", of: record) { (lines: inout [String]) in lines }
    keeper = library.actorClass("start.Keeper", free) { (numbers: Vector<Double>) in numbers }
    sum = library.method("sum", of: keeper) { (numbers: inout Vector<Double>) in
      numbers.reduce(0, +)
    }
    let span = TimeSpan.milliseconds(20)
    late = library.remote("start.late", TaskOptions(duration: span)) { (x: Int) in
      TaskContext.spend(span)
      return x
    }
    fail = library.remote("start.fail") { (text: String) throws -> Int in
      throw FixtureError(text: text)
    }
    text = library.remote("start.text") { "five" }
    never = library.remote("start.never", TaskOptions(resources: ResourceVector(cpus: 10_000))) {
      0
    }
  }
}
