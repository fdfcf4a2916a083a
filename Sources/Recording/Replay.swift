import Primitives
import RuntimeCore

/// Where a machine, made again, first did something else than what was recorded.
public struct ReplayDifference: Sendable, Equatable {
  /// An input and what it caused, in words.
  public struct Step: Sendable, Equatable {
    /// From 1, of this machine.
    public var number: UInt64
    public var time: Instant
    public var input: String
    /// Where it lies in the file.
    public var offset: Int
  }

  public var machine: Address
  public var step: Step
  /// Inputs of the machine before this one, the latest last.
  public var before: [Step]
  /// What was recorded, and what was found, each effect a line.
  public var expected: [String]
  public var found: [String]
  /// The number of the first effect that differs, from 0.
  public var index: Int
  /// Why the input could not be heard at all; nil when it was.
  public var problem: String?
}

/// How the replay of one machine ended.
public struct ReplayedMachineResult: Sendable {
  public var machine: Address
  public var inputs: UInt64
  public var effects: UInt64
  public var difference: ReplayDifference?
}

/// How the replay of a recording ended.
public struct ReplayResult: Sendable {
  /// Where it was recorded, such as `node 1`.
  public var origin: String
  public var machines: [ReplayedMachineResult]
  /// The moment of the first input.
  public var begin: Instant
  /// False when the recording ends before its process did: it was cut off, or the process died.
  public var isComplete: Bool
  /// Bytes of a last block that is not whole, and was left out.
  public var cutBytes: Int

  public var difference: ReplayDifference? { machines.lazy.compactMap(\.difference).first }
  public var inputs: UInt64 { machines.reduce(0) { $0 + $1.inputs } }
  public var effects: UInt64 { machines.reduce(0) { $0 + $1.effects } }
}

/// Feeds a recording to machines made anew, and compares what they order with what was recorded.
public struct Replay {
  /// Only this machine; nil for all.
  public var machine: Address?
  public var policies = ReplayPolicies()
  /// Gathers what machines did in which state; nil for nobody.
  public var transitions: TransitionCollector?
  /// Hears what became of tasks; nil for nobody.
  public var observer: (any ReplayObserver)?
  /// For tests: machines hear what follows a difference too, and must survive it.
  var goesOn = false
  /// Inputs before the first difference that are shown with it.
  static let recentCount = 4

  public init() {}

  /// - Parameter file: the bytes of a recording.
  /// - Throws: `RecordingError` when the bytes cannot be read as one. A file that ends too early is
  ///   read as far as it goes.
  public func run(_ file: UnsafeRawBufferPointer) throws(RecordingError) -> ReplayResult {
    var blocks = try RecordingBlocks(file)
    var streams: [UInt32: ReplayedStream] = [:]
    var results: [ReplayedMachineResult] = []
    let begin = try RecordingListing.begin(file) ?? .zero
    while let block = try blocks.next() {
      let stream =
        streams[block.stream]
        ?? ReplayedStream(RecordedStream(kinds: blocks.kinds), self)
      streams[block.stream] = stream
      try stream.replay(block)
      if block.endsStream {
        streams[block.stream] = nil
        results += stream.end()
      }
    }
    for number in streams.keys.sorted() { results += streams[number]!.end() }
    return ReplayResult(
      origin: blocks.origin, machines: results, begin: begin, isComplete: blocks.isComplete,
      cutBytes: blocks.cutBytes)
  }
}

/// The machines of one stream.
private final class ReplayedStream {
  private let stream: RecordedStream
  private let replay: Replay
  private var machines: [UInt32: ReplayedMachine] = [:]
  /// In the order in which they came.
  private var order: [ReplayedMachine] = []
  private var results: [ReplayedMachineResult] = []
  private var differences: [UInt32: ReplayDifference] = [:]
  private var effects = EffectBuffer<Effect>()
  private var ordered = EffectBuffer<Effect>()
  /// By driver, the task of whose result it has heard last.
  private var told: [UInt32: TaskID] = [:]
  private var scratch = RecordWriter()

  init(_ stream: RecordedStream, _ replay: Replay) {
    self.stream = stream
    self.replay = replay
  }

  func replay(_ block: RecordingBlocks.Block) throws(RecordingError) {
    var reader = stream.reader(block)
    while let event = try stream.next(&reader) {
      switch event {
      case .machine(let description, let offset):
        let address = description.address
        if let wanted = replay.machine, wanted != address { continue }
        guard machines[address.raw] == nil else {
          throw RecordingError(at: offset, "\(address) is there already")
        }
        let machine = try ReplayedMachine(
          description, stream, replay.policies, takesSteps: replay.observer != nil, at: offset)
        machines[address.raw] = machine
        order.append(machine)
      case .machineEnded(let address):
        if let machine = machines.removeValue(forKey: address.raw) { end(machine) }
      case .input(let input): try handle(input)
      }
    }
  }

  private func handle(_ input: RecordedInput) throws(RecordingError) {
    guard let machine = machines[input.target.raw], !machine.hasDiffered else {
      if case .message(let message, _) = input.content { message.discardBody(stream.payloads) }
      if machines[input.target.raw] == nil && replay.machine == nil {
        throw RecordingError(at: input.offset, "\(input.target) is not among the machines")
      }
      return
    }
    machine.inputs += 1
    machine.effects += UInt64(input.effects.count)
    // Not in words yet: those who agree need none.
    var body: String?
    if case .message(let message, _) = input.content, message.hasBody { body = stream.text(input) }
    let state = replay.transitions == nil ? nil : machine.state(before: input)
    if let observer = replay.observer { tell(observer, of: input) }
    if let problem = machine.hear(input, stream, into: &effects) {
      differ(machine, input, body, found: [], at: 0, problem: problem)
      effects.removeAll()
      return
    }
    if let observer = replay.observer { takeSteps(observer, at: input.time) }
    if let index = firstDifference(input) {
      var found: [String] = []
      for i in 0..<effects.count { found.append(stream.text(effects[i])) }
      differ(machine, input, body, found: found, at: index, problem: nil)
    } else {
      if let state {
        replay.transitions?.add(machine.address.role, input.content.name, state, effects)
      }
      for i in 0..<effects.count { effects[i].discardBody(stream.payloads) }
    }
    effects.removeAll()
    remember(input, body, machine)
  }

  private func tell(_ observer: any ReplayObserver, of input: RecordedInput) {
    switch input.content {
    case .message(.objectReady(let object, _), _) where input.target.role == .driver:
      told[input.target.raw] = stream.specs[object.producer].id
    case .submit(let task, _):
      observer.submitted(
        stream.specs[task].id, at: input.time, awaited: told[input.target.raw])
    default: break
    }
  }

  /// Hands on the steps among the effects, and takes out those that were not recorded.
  private func takeSteps(_ observer: any ReplayObserver, at now: Instant) {
    ordered.removeAll()
    for i in 0..<effects.count {
      let effect = effects[i]
      if case .record(let step) = effect {
        observer.took(step, in: stream.specs, at: now)
        if !stream.parameters.recordsTransitions { continue }
      }
      ordered.append(effect)
    }
    swap(&effects, &ordered)
  }

  private func firstDifference(_ input: RecordedInput) -> Int? {
    for i in 0..<min(effects.count, input.effects.count) {
      scratch.removeAll()
      scratch.effect(effects[i], stream.payloads)
      guard scratch.bytes.elementsEqual(input.effects[i]) else { return i }
    }
    return effects.count == input.effects.count ? nil : min(effects.count, input.effects.count)
  }

  private func remember(_ input: RecordedInput, _ body: String?, _ machine: ReplayedMachine) {
    if machine.recent.count == Replay.recentCount { machine.recent.removeFirst() }
    var input = input
    input.effects = []
    machine.recent.append((machine.inputs, input, body))
  }

  private func step(
    _ number: UInt64, _ input: RecordedInput, _ body: String?
  ) -> ReplayDifference.Step {
    ReplayDifference.Step(
      number: number, time: input.time, input: body ?? stream.text(input), offset: input.offset)
  }

  private func differ(
    _ machine: ReplayedMachine, _ input: RecordedInput, _ body: String?, found: [String],
    at index: Int, problem: String?
  ) {
    machine.hasDiffered = !replay.goesOn
    if differences[machine.address.raw] != nil { return }
    var expected: [String] = []
    for effect in input.effects { expected.append(stream.text(effect: effect)) }
    differences[machine.address.raw] = ReplayDifference(
      machine: machine.address, step: step(machine.inputs, input, body),
      before: machine.recent.map { step($0.number, $0.input, $0.body) },
      expected: expected, found: found, index: index, problem: problem)
  }

  private func end(_ machine: ReplayedMachine) {
    order.removeAll { $0 === machine }
    results.append(
      ReplayedMachineResult(
        machine: machine.address, inputs: machine.inputs, effects: machine.effects,
        difference: differences.removeValue(forKey: machine.address.raw)))
  }

  /// The results of all its machines; the stream says no more.
  func end() -> [ReplayedMachineResult] {
    for machine in order { end(machine) }
    machines.removeAll()
    return results
  }
}
