import Primitives
import Recording
import RuntimeCore

extension Fabric {
  /// Begins to record, before anything has happened.
  mutating func startRecording(to output: any RecordingOutput) {
    var recorder = StreamRecorder(
      specs: specs, payloads: payloads, parameters: configuration.parameters, to: output)
    for (number, node) in configuration.nodes.enumerated() {
      recorder.addRaylet(
        NodeID(number), node.description, spillover: configuration.spillover,
        dispatch: configuration.dispatch, seed: configuration.seed)
    }
    for number in 0..<configuration.parameters.globalSchedulers {
      recorder.addGlobalScheduler(
        number, nodes: configuration.nodes.map(\.description.resources),
        placement: configuration.placement, seed: configuration.seed)
    }
    let chain = configuration.parameters.chainLength
    for number in 0..<replicaCount {
      recorder.addReplica(
        UInt32(number), shard: UInt32(number / chain), position: UInt32(number % chain))
    }
    let place = UnsafeMutablePointer<StreamRecorder>.allocate(capacity: 1)
    place.initialize(to: recorder)
    self.recorder = place
  }

  /// Writes down what a machine is about to hear, unless it is a driver that has gone.
  @inline(never)
  func record(
    _ message: Message, from source: Address, to target: Address, at now: Instant
  ) {
    if target.role == .driver && drivers[target.number] == nil { return }
    recorder?.pointee.heard(message, from: source, to: target, at: now)
  }
}
