import Heliostat
import Primitives
import RuntimeCore

/// What scripts call; every process of a cluster registers them in this order.
struct ScriptFunctions: Sendable {
  struct Failure: Error, CustomStringConvertible {
    var description: String { "it was told to" }
  }

  let leaf: RemoteFunction<UInt64, UInt64>
  let mix: RemoteFunction<UInt64, UInt64, UInt64>
  let split: RemoteFunction<UInt64, UInt64>
  let fail: RemoteFunction<UInt64, UInt64>
  let branch: RemoteFunction<UInt64, UInt64, UInt64>
  let caller: RemoteFunction<ActorRef<UInt64>, UInt64, UInt64>
  let accumulator: ActorClass<UInt64, UInt64>
  let fold: ActorMethod<UInt64, UInt64, UInt64>

  init(_ library: FunctionLibrary) {
    let leaf = library.remote("leaf") { (x: UInt64) in mix64(x) }
    let mix = library.remote("mix") { (a: UInt64, b: UInt64) in mix64(a ^ (b &+ 1)) }
    split = library.remoteSplit("split") { (a: UInt64) in [a &+ 1, a &+ 2] }
    fail = library.remote("fail") { (_: UInt64) throws -> UInt64 in throw Failure() }
    branch = library.program("branch") { (ray: Session, x: UInt64, y: UInt64) in
      let a = ray.submit(leaf, .value(x))
      let b = try await ray.put(y)
      let c = ray.submit(mix, .ref(a), .ref(b))
      let value = try await ray.get(c)
      ray.free([a, b, c])
      return value
    }
    let accumulator = library.actorClass("Accumulator", TaskOptions(resources: .zero)) {
      (start: UInt64) in start
    }
    let fold = library.method("fold", of: accumulator) { (state: inout UInt64, x: UInt64) in
      state = mix64(state ^ x)
      return state
    }
    caller = library.program("caller") { (ray: Session, actor: ActorRef<UInt64>, x: UInt64) in
      let calls = (UInt64(0)..<3).map { ray.call(actor, fold, .value(x &+ $0)) }
      let values = try await ray.get(calls)
      ray.free(calls)
      return values.reduce(0, ^)
    }
    self.leaf = leaf
    self.mix = mix
    self.accumulator = accumulator
    self.fold = fold
  }
}

/// A program drawn from a seed that gives the same lines wherever it runs.
struct Script: Sendable {
  var seed: UInt64
  var steps = 40
  /// Only the steps of these numbers are drawn; see `step`.
  var choices: [Int] = Array(0..<16)
  /// Bytes of large puts.
  var largePut = 100

  /// The state of one run.
  private final class Run {
    let ray: Session
    let functions: ScriptFunctions
    var random: RandomStream
    var known: [ObjectRef<UInt64>] = []
    var actors: [ActorRef<UInt64>] = []
    var lines: [String] = []
    let largePut: Int

    init(_ ray: Session, _ functions: ScriptFunctions, _ script: Script) {
      self.ray = ray
      self.functions = functions
      largePut = script.largePut
      random = RandomStream(seed: script.seed, stream: 0x5343_5249)
    }

    func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }
    func some() -> ObjectRef<UInt64> { known[below(known.count)] }

    func note(_ what: String, _ body: () async throws -> UInt64) async {
      do {
        lines.append("\(what): \(try await body())")
      } catch RuntimeError.taskFailed {
        // The worlds do not word it alike for those who depend on what failed.
        lines.append("\(what): failed")
      } catch {
        lines.append("\(what): \(error)")
      }
    }
  }

  func run(_ ray: Session, _ functions: ScriptFunctions) async throws -> [String] {
    let run = Run(ray, functions, self)
    run.known.append(ray.submit(functions.leaf, .value(seed)))
    for number in 0..<steps {
      try await step(choices[run.below(choices.count)], "step \(number)", run)
    }
    for (number, ref) in run.known.enumerated() {
      await run.note("object \(number)") { try await ray.get(ref) }
    }
    ray.free(run.known)
    ray.free(run.actors.map(\.created))
    // Until everyone has heard of the last frees.
    await ray.sleep(.milliseconds(20))
    return run.lines
  }

  private func step(_ choice: Int, _ name: String, _ run: Run) async throws {
    let (ray, functions) = (run.ray, run.functions)
    switch choice {
    case 0: run.known.append(ray.submit(functions.leaf, .value(run.random.next())))
    case 1: run.known.append(ray.submit(functions.mix, .ref(run.some()), .ref(run.some())))
    case 2: run.known.append(try await ray.put(run.random.next()))
    case 3: run.known += ray.submit(functions.split, returns: 2, .ref(run.some()))
    case 4: run.known.append(ray.submit(functions.fail, .ref(run.some())))
    case 5:
      run.known.append(
        ray.submit(functions.branch, .value(run.random.next()), .ref(run.some())))
    case 6:
      if run.actors.isEmpty {
        run.actors.append(ray.create(functions.accumulator, .value(UInt64(0))))
      } else if run.actors.count < 2 {
        run.actors.append(ray.create(functions.accumulator, .ref(run.some())))
      }
    case 7:
      guard !run.actors.isEmpty else { return }
      let actor = run.actors[run.below(run.actors.count)]
      run.known.append(ray.call(actor, functions.fold, .ref(run.some())))
    case 8:
      // Alone on its actor: what others fold at the same time would come in any order.
      let actor = ray.create(functions.accumulator, .value(UInt64(0)))
      run.actors.append(actor)
      run.known.append(ray.submit(functions.caller, .value(actor), .value(run.random.next())))
      let last = run.actors.removeLast()
      await run.note("\(name): caller") { try await ray.get(run.known.last!) }
      ray.free([last.created])
    case 9:
      let ref = run.some()
      await run.note("\(name): get") { try await ray.get(ref) }
    case 10:
      let count = 1 + run.below(run.known.count)
      let (ready, rest) = try await ray.wait(
        run.known, count: count, timeout: nil, fetch: run.below(2) == 0)
      run.lines.append("\(name): \(ready.count) of \(ready.count + rest.count)")
    case 11:
      // Only what nobody needs any more may be freed.
      for ref in run.known { await run.note("\(name): before free") { try await ray.get(ref) } }
      _ = try await ray.wait(run.actors.map(\.created), count: run.actors.count)
      let count = run.below(run.known.count)
      ray.free(Array(run.known[..<count]))
      run.known.removeFirst(count)
    case 12:
      let refs = (0..<200).map { ray.submit(functions.leaf, .value(UInt64($0))) }
      let sum = try await ray.get(refs).reduce(0, &+)
      run.lines.append("\(name): burst \(sum)")
      ray.free(refs)
    case 13:
      let bytes = [UInt8](repeating: UInt8(run.below(256)), count: run.largePut)
      let ref = try await ray.put(bytes)
      await run.note("\(name): large put") { UInt64(try await ray.get(ref).count) }
      ray.free([ref])
    case 14:
      // Given up before it is there: nobody will ask.
      ray.free([ray.submit(functions.leaf, .value(run.random.next()))])
    default:
      // Ready or not is a matter of time: nothing is noted.
      _ = try await ray.wait(run.known, count: run.known.count, timeout: .zero)
    }
  }
}
