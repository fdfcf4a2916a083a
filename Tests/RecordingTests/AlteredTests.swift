import Primitives
import RuntimeCore
import Scheduling
import Testing

@testable import Recording

@Suite("recordings that were altered, cut off or damaged", .timeLimit(.minutes(10)))
struct AlteredTests {
  /// A simulated run of two nodes, with every kind of step.
  private static let recording: [UInt8] = {
    var cluster = ScriptCluster(nodes: 2)
    cluster.settings.spillover = "QueueThreshold[threshold=1]"
    cluster.settings.parameters.chainLength = 2
    let script = Script(seed: 11)
    return (try? cluster.simulate(script).recording) ?? []
  }()

  @Test("one altered effect is the first difference, with its machine, its input and both effects")
  func effect() throws {
    let original = AlteredRecording(Self.recording)
    let inputs = try original.inputs()
    var seen: Set<Address.Role> = []
    for (index, input) in inputs.enumerated() where !input.effects.isEmpty {
      guard index % 151 == 0 || !seen.contains(input.target.role) else { continue }
      seen.insert(input.target.role)
      var altered = original
      let which = index % input.effects.count
      // The last byte of an effect's last number: another number, not a longer one.
      altered.bytes[input.effects[which].upperBound - 1] ^= 1
      altered.reseal()
      let result = try replay(altered.bytes)
      let difference = try #require(result.difference)
      #expect(difference.machine == input.target)
      #expect(difference.step.offset == input.range.lowerBound)
      #expect(difference.index == which)
      #expect(difference.expected.count == difference.found.count)
      #expect(difference.expected[which] != difference.found[which])
      #expect(result.machines.count { $0.difference != nil } == 1)
    }
    #expect(seen.count == 4)
  }

  @Test("a task that ends otherwise than it did leads to other effects")
  func input() throws {
    var altered = AlteredRecording(Self.recording)
    let input = try #require(
      try altered.inputs().first { $0.kind == .taskFinished && !$0.effects.isEmpty })
    #expect(altered.bytes[input.range.upperBound - 1] == ObjectStatus.value.rawValue)
    altered.bytes[input.range.upperBound - 1] = ObjectStatus.taskFailed.rawValue
    altered.reseal()
    let difference = try #require(try replay(altered.bytes).difference)
    #expect(difference.machine == input.target)
    #expect(difference.step.input.contains("task-failed"))
    #expect(difference.found.contains { $0.contains("task-failed") })
    #expect(!difference.before.isEmpty)
  }

  @Test("a lost effect and one too many are differences")
  func missing() throws {
    let original = AlteredRecording(Self.recording)
    let input = try #require(try original.inputs().first { $0.effects.count == 1 })
    let block = try #require(original.blocks().last { $0.start < input.range.lowerBound })
    var altered = original
    altered.bytes.removeSubrange(input.range.upperBound..<input.effects[0].upperBound)
    let removed = input.effects[0].upperBound - input.range.upperBound
    let length = block.length - removed
    for i in 0..<4 { altered.bytes[block.start + 8 + i] = UInt8(length >> (8 * i) & 255) }
    altered.reseal()
    let difference = try #require(try replay(altered.bytes).difference)
    #expect(difference.step.offset == input.range.lowerBound)
    #expect(difference.expected == [])
    #expect(difference.found.count == 1)
  }

  @Test("another policy is a difference, and the recorded one by name is none")
  func policy() throws {
    var same = Replay()
    same.policies.spillover = PolicySpec("QueueThreshold", [.init(key: "threshold", value: "1")])
    #expect(try replay(Self.recording, same).difference == nil)
    var other = Replay()
    other.policies.spillover = PolicySpec("AlwaysEscalate")
    let difference = try #require(try replay(Self.recording, other).difference)
    #expect(difference.step.input.contains("task-submitted"))
    #expect(difference.found.contains { $0.contains("task-escalated") })
    other.policies.spillover = PolicySpec("Nonsense")
    #expect(throws: RecordingError.self) { try replay(Self.recording, other) }
  }

  @Test("one machine alone replays as it does among the others")
  func oneMachine() throws {
    let all = try replay(Self.recording)
    for machine in all.machines {
      var replay = Replay()
      replay.machine = machine.machine
      let bytes = Self.recording
      let alone = try bytes.withUnsafeBytes { bytes throws(RecordingError) in
        try replay.run(bytes)
      }
      // Drivers come one after the other under one number.
      let same = all.machines.filter { $0.machine == machine.machine }
      #expect(alone.machines.map(\.inputs) == same.map(\.inputs))
      #expect(alone.difference == nil)
    }
  }

  @Test("a recording that is cut off anywhere is read up to its last whole block, and says so")
  func truncated() throws {
    let whole = Self.recording
    let total = try replay(whole).inputs
    var random = RandomStream(seed: 1, stream: 1)
    for _ in 0..<60 {
      let length = Int(random.below(UInt64(whole.count)))
      do {
        let result = try replay(Array(whole[..<length]))
        #expect(!result.isComplete)
        #expect(result.difference == nil)
        #expect(result.inputs <= total)
      } catch let error as RecordingError {
        // Only what ends within the preface is no recording at all.
        #expect(error.text.contains("no recording") || error.text.contains("preface"))
        #expect(length < 4096)
      }
    }
    #expect(try replay(Array(whole.dropLast(1))).cutBytes > 0)
  }

  private static func blockCount(_ file: UnsafeRawBufferPointer) throws(RecordingError) -> Int {
    var blocks = try RecordingBlocks(file)
    var count = 0
    while try blocks.next() != nil { count += 1 }
    return count
  }

  @Test("a single wrong bit is found, and the error says where")
  func damaged() throws {
    let whole = Self.recording
    let blocks = AlteredRecording(whole).blocks()
    let heads = (blocks.prefix(2) + blocks.suffix(2)).map {
      $0.start..<($0.start + RecordingFormat.blockHeadByteCount)
    }
    var random = RandomStream(seed: 2, stream: 1)
    let anywhere = (0..<20).map { _ in Int(random.below(UInt64(whole.count))) }
    var bytes = whole
    // A length that reaches beyond the file must not look like a file that was cut off.
    for position in ([0..<RecordingFormat.headByteCount] + heads).joined() + anywhere {
      for bit in 0..<8 {
        bytes[position] ^= 1 << UInt8(bit)
        let error = #expect(throws: RecordingError.self, "bit \(bit) of byte \(position)") {
          try bytes.withUnsafeBytes { file throws(RecordingError) in try Self.blockCount(file) }
        }
        #expect((error?.offset ?? 0) <= position, "byte \(position)")
        bytes[position] ^= 1 << UInt8(bit)
      }
    }
    #expect(bytes == whole)
    bytes[whole.count / 3] ^= 1
    #expect(throws: RecordingError.self) { try replay(bytes) }
  }

  @Test("no bytes crash the reader")
  func garbage() throws {
    var random = RandomStream(seed: 3, stream: 1)
    for length in [0, 1, 8, 15, 16, 17, 40, 41, 300, 5000] {
      var bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      #expect(throws: RecordingError.self) { try replay(bytes) }
      bytes.replaceSubrange(0..<min(8, length), with: Array("HELIOREC".utf8).prefix(length))
      #expect(throws: RecordingError.self) { try replay(bytes) }
    }
  }

  @Test("records that make no sense, under a right check, never crash a machine", arguments: 0..<4)
  func nonsense(block: Int) throws {
    let original = AlteredRecording(Self.recording)
    let first = try #require(original.blocks().dropFirst().first?.start)
    var random = RandomStream(seed: UInt64(block), stream: 7)
    var (errors, differences) = (0, 0)
    for _ in 0..<60 {
      var altered = original
      for _ in 0..<(1 + random.below(3)) {
        let position = first + Int(random.below(UInt64(original.bytes.count - first)))
        let isHead = altered.blocks().contains {
          ($0.start..<($0.start + RecordingFormat.blockHeadByteCount)).contains(position)
        }
        if isHead { continue }
        altered.bytes[position] = UInt8(truncatingIfNeeded: random.next())
      }
      altered.reseal()
      do {
        if try replay(altered.bytes).difference != nil { differences += 1 }
      } catch is RecordingError {
        errors += 1
      }
    }
    #expect(errors > 0 && differences > 0)
  }

  @Test("every parameter of the protocol is recorded under its name")
  func parameters() throws {
    let names = Mirror(reflecting: Parameters()).children.compactMap(\.label)
    #expect(ParameterList.entries.map(\.name).sorted() == names.sorted())
    var writer = RecordWriter()
    var parameters = Parameters()
    for (number, entry) in ParameterList.entries.enumerated() {
      entry.set(&parameters, entry.name == "recordsTransitions" ? 1 : UInt64(number + 1))
    }
    writer.parameters(parameters)
    var reader = RecordReader(writer.bytes, at: 0)
    #expect(try reader.parameters() == parameters)
  }
}
