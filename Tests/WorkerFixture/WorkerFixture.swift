import Foundation
import Heliostat
import Primitives
import RealWorld

/// The program that tests of worker processes start: its functions end their process in every way.
@main
struct WorkerFixture {
  static func main() {
    let functions = FixtureFunctions()
    WorkerProcess.runIfStarted(functions.library)
    NodeFixture.runIfStarted(functions.library)
    FileHandle.standardError.write(Data("a worker of tests, and nothing else\n".utf8))
    exit(2)
  }
}

/// How a function ends its process.
public enum Ending: String, CaseIterable, Sendable {
  case exit, trap, kill

  func happen() -> Never {
    switch self {
    case .exit: Foundation.exit(3)
    case .trap:
      // Its last words are not for the terminal of the tests.
      dup2(open("/dev/null", O_WRONLY), 2)
      fatalError("a test ends a worker")
    case .kill: Foundation.kill(getpid(), SIGKILL)
    }
    while true { pause() }
  }
}

/// What both the tests and their workers register.
public struct FixtureFunctions: Sendable {
  public let library = FunctionLibrary()
  public let square: RemoteFunction<Int, Int>
  public let process: RemoteFunction<Int>
  /// Writes its process into the pipe at a path, and waits for ever.
  public let hang: RemoteFunction<String, Int>
  public let end: RemoteFunction<String, Int>
  /// Squares a number, or ends its process when it is negative.
  public let squareOrEnd: RemoteFunction<Int, Int>
  /// Sends bytes of its own over the link to its node, or closes it when there are none, and waits.
  public let misuse: RemoteFunction<[UInt8], Int>
  public let fail: RemoteFunction<String, Int>
  /// So many numbers, counted up.
  public let count: RemoteFunction<Int, Vector<Double>>
  public let sum: RemoteFunction<Vector<Double>, Double>
  public let split: RemoteFunction<Int, [Double]>
  public let model: RemoteFunction<Void>
  /// Squares numbers by tasks of its own, and adds them up.
  public let nest: RemoteFunction<Int, Int>
  /// Puts so many numbers, has them added up by another task, and returns them.
  public let nestLarge: RemoteFunction<Int, Vector<Double>>
  /// Has so many numbers, sent by value, added up, and ends without waiting for that.
  public let leave: RemoteFunction<Int, ObjectRef<Double>>
  /// Writes its process into the first pipe, and waits for a task that hangs with the second.
  public let nestHang: RemoteFunction<String, String, Int>
  // Of tasks that are cancelled. Each first writes its process into a pipe.
  /// Computes until it is asked to stop, and throws then.
  public let heed: RemoteFunction<String, Int>
  /// Computes until it is asked to stop, and returns 5 then.
  public let ignore: RemoteFunction<String, Int>
  /// A program that computes until its Swift task is cancelled, and throws then.
  public let heedProgram: RemoteFunction<String, Int>
  /// A program that sleeps until it is asked to stop, and writes into the second pipe then.
  public let sleepProgram: RemoteFunction<String, String, Int>
  /// Waits for a task of its own, a `sleepProgram` with these pipes.
  public let nestSleep: RemoteFunction<String, String, Int>
  public let counter: ActorClass<Int>
  public let add: ActorMethod<Int, Int, Int>
  public let endActor: ActorMethod<Int, String, Int>
  public let hangActor: ActorMethod<Int, String, Int>
  public let start: StartFunctions

  public init() {
    square = library.remote("square") { (x: Int) in x * x }
    process = library.remote("process") { Int(getpid()) }
    hang = library.remote("hang") { (path: String) -> Int in Self.tellAndHang(path) }
    end = library.remote("end") { (how: String) -> Int in Ending(rawValue: how)!.happen() }
    squareOrEnd = library.remote("squareOrEnd") { (x: Int) -> Int in
      if x < 0 { Ending.exit.happen() }
      return x * x
    }
    misuse = library.remote("misuse") { (bytes: [UInt8]) -> Int in
      // Where a node puts the link.
      let link: Int32 = 3
      if bytes.isEmpty {
        // The process reads it from another thread too: this ends it for both.
        shutdown(link, Int32(SHUT_WR))
      } else {
        _ = bytes.withUnsafeBytes { write(link, $0.baseAddress, $0.count) }
      }
      while true { pause() }
    }
    fail = library.remote("fail") { (text: String) throws -> Int in throw FixtureError(text: text) }
    count = library.remote("count") { (n: Int) in Vector((0..<n).map(Double.init)) }
    sum = library.remote("sum") { (numbers: Vector<Double>) in numbers.reduce(0, +) }
    split = library.remoteSplit("split") { (n: Int) in
      (0..<3).map { part in [Double](repeating: Double(part), count: n) }
    }
    model = library.modelled("model")
    let (square, sum, hang) = (square, sum, hang)
    nest = library.program("nest") { (ray: Session, n: Int) in
      let squares = (1...n).map { ray.submit(square, .value($0)) }
      return try await ray.get(squares).reduce(0, +)
    }
    nestLarge = library.program("nestLarge") { (ray: Session, n: Int) in
      let numbers = try await ray.put(Vector((0..<n).map(Double.init)))
      let total = try await ray.get(ray.submit(sum, .ref(numbers)))
      let back = try await ray.get(numbers)
      guard total == Double(n) * Double(n - 1) / 2 else { throw FixtureError(text: "\(total)") }
      return back
    }
    leave = library.program("leave") { (ray: Session, n: Int) in
      ray.submit(sum, .value(Vector((0..<n).map(Double.init))))
    }
    nestHang = library.program("nestHang") { (ray: Session, path: String, inner: String) in
      Self.tell(path)
      return try await ray.get(ray.submit(hang, .value(inner)))
    }
    heed = library.remote("heed") { (path: String) throws -> Int in
      Self.tell(path)
      while !TaskContext.isCancelled {}
      throw CancellationError()
    }
    ignore = library.remote("ignore") { (path: String) -> Int in
      Self.tell(path)
      while !TaskContext.isCancelled {}
      return 5
    }
    heedProgram = library.program("heedProgram") { (ray: Session, path: String) throws -> Int in
      Self.tell(path)
      while true { try Task.checkCancellation() }
    }
    let sleepProgram = library.program("sleepProgram") {
      (ray: Session, path: String, end: String) async throws -> Int in
      Self.tell(path)
      while !TaskContext.isCancelled { await ray.sleep(.milliseconds(1)) }
      Self.tell(end)
      throw CancellationError()
    }
    self.sleepProgram = sleepProgram
    nestSleep = library.program("nestSleep") { (ray: Session, path: String, end: String) in
      try await ray.get(ray.submit(sleepProgram, .value(path), .value(end)))
    }
    counter = library.actorClass("counter") { 0 }
    add = library.method("add", of: counter) { (total: inout Int, x: Int) in
      total += x
      return total
    }
    endActor = library.method("end", of: counter) { (_: inout Int, how: String) -> Int in
      Ending(rawValue: how)!.happen()
    }
    hangActor = library.method("hang", of: counter) { (_: inout Int, path: String) -> Int in
      Self.tellAndHang(path)
    }
    start = StartFunctions(library)
  }

  private static func tellAndHang(_ path: String) -> Never {
    tell(path)
    while true { pause() }
  }

  private static func tell(_ path: String) {
    let pipe = open(path, O_WRONLY)
    var text = "\(getpid())\n"
    text.withUTF8 { _ = write(pipe, $0.baseAddress, $0.count) }
    close(pipe)
  }
}

struct FixtureError: Error, CustomStringConvertible {
  let text: String
  var description: String { text }
}
