import Primitives
import RuntimeCore

/// The parameters of the protocol by name, so that a recording says what it was made with.
enum ParameterList {
  struct Entry: Sendable {
    let name: String
    let get: @Sendable (Parameters) -> UInt64
    let set: @Sendable (inout Parameters, UInt64) -> Void

    static func int(
      _ name: String, _ path: WritableKeyPath<Parameters, Int> & Sendable
    ) -> Entry {
      Entry(
        name: name, get: { UInt64(bitPattern: Int64($0[keyPath: path])) },
        set: { $0[keyPath: path] = Int(Int64(bitPattern: $1)) })
    }
    static func span(
      _ name: String, _ path: WritableKeyPath<Parameters, TimeSpan> & Sendable
    ) -> Entry {
      Entry(
        name: name, get: { $0[keyPath: path].nanoseconds },
        set: { $0[keyPath: path] = TimeSpan(nanoseconds: $1) })
    }
    static func size(
      _ name: String, _ path: WritableKeyPath<Parameters, ByteCount> & Sendable
    ) -> Entry {
      Entry(
        name: name, get: { $0[keyPath: path].bytes },
        set: { $0[keyPath: path] = ByteCount($1) })
    }
    static func rate(
      _ name: String, _ path: WritableKeyPath<Parameters, Bandwidth> & Sendable
    ) -> Entry {
      Entry(
        name: name, get: { $0[keyPath: path].bytesPerSecond.bitPattern },
        set: { $0[keyPath: path] = Bandwidth(bytesPerSecond: Double(bitPattern: $1)) })
    }
    static func real(
      _ name: String, _ path: WritableKeyPath<Parameters, Double> & Sendable
    ) -> Entry {
      Entry(
        name: name, get: { $0[keyPath: path].bitPattern },
        set: { $0[keyPath: path] = Double(bitPattern: $1) })
    }
    static func flag(
      _ name: String, _ path: WritableKeyPath<Parameters, Bool> & Sendable
    ) -> Entry {
      Entry(
        name: name, get: { $0[keyPath: path] ? 1 : 0 }, set: { $0[keyPath: path] = $1 != 0 })
    }
  }

  /// Every stored property of `Parameters`, under its own name.
  static let entries: [Entry] = [
    .int("globalSchedulers", \.globalSchedulers),
    .int("gcsShards", \.gcsShards),
    .int("chainLength", \.chainLength),
    .span("heartbeat", \.heartbeat),
    .real("averageWeight", \.averageWeight),
    .span("priorTaskTime", \.priorTaskTime),
    .rate("priorBandwidth", \.priorBandwidth),
    .size("unknownObjectSize", \.unknownObjectSize),
    .size("chunkSize", \.chunkSize),
    .int("chunksInFlight", \.chunksInFlight),
    .int("pullQuotaPercent", \.pullQuotaPercent),
    .rate("diskBandwidth", \.diskBandwidth),
    .int("extraWorkersPerCPU", \.extraWorkersPerCPU),
    .int("uncommittedLimit", \.uncommittedLimit),
    .span("pipelineTime", \.pipelineTime),
    .int("pipelineLimit", \.pipelineLimit),
    .int("actorPipelineLimit", \.actorPipelineLimit),
    .span("freeDelay", \.freeDelay),
    .flag("recordsTransitions", \.recordsTransitions),
  ]

  /// Numbers that a damaged recording must not make a machine allocate by.
  static func check(_ parameters: Parameters) -> String? {
    for (name, value, range) in [
      ("globalSchedulers", parameters.globalSchedulers, 1...4096),
      ("gcsShards", parameters.gcsShards, 1...65_536),
      ("chainLength", parameters.chainLength, 1...64),
      ("pullQuotaPercent", parameters.pullQuotaPercent, 0...100),
      ("pipelineLimit", parameters.pipelineLimit, 0...1 << 20),
      ("actorPipelineLimit", parameters.actorPipelineLimit, 0...1 << 20),
      ("chunksInFlight", parameters.chunksInFlight, 0...1 << 16),
      ("extraWorkersPerCPU", parameters.extraWorkersPerCPU, 0...1 << 16),
    ] where !range.contains(value) {
      return "parameter \(name) is \(value); expected \(range.lowerBound) to \(range.upperBound)"
    }
    return nil
  }
}

extension RecordWriter {
  mutating func parameters(_ parameters: Parameters) {
    number(UInt64(ParameterList.entries.count))
    for entry in ParameterList.entries {
      text(entry.name)
      number(entry.get(parameters))
    }
  }
}

extension RecordReader {
  /// Parameters that the recording does not name keep their defaults: they are newer than it.
  mutating func parameters() throws(RecordingError) -> Parameters {
    let start = offset
    var parameters = Parameters()
    for _ in 0..<(try number("number of parameters", upTo: 1024)) {
      let position = offset
      let name = try text("name of a parameter")
      guard let entry = ParameterList.entries.first(where: { $0.name == name }) else {
        throw RecordingError(
          at: position, "parameter '\(name)' is not known: replay with the version that recorded")
      }
      entry.set(&parameters, try number("value of a parameter"))
    }
    if let text = ParameterList.check(parameters) { throw RecordingError(at: start, text) }
    return parameters
  }
}
