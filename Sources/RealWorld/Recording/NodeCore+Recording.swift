import Primitives
import Recording
import RuntimeCore

extension NodeCore {
  /// A recorder that knows what the machines of this node were made from.
  func makeRecorder(_ output: any RecordingOutput) -> UnsafeMutablePointer<StreamRecorder> {
    var recorder = StreamRecorder(
      specs: specs, payloads: payloads, parameters: plan.parameters, to: output)
    recorder.addRaylet(
      plan.node, plan.description, spillover: plan.spillover, dispatch: plan.dispatch,
      seed: plan.seed)
    for (number, home) in plan.replicaHomes.enumerated() where home == plan.node {
      recorder.addReplica(
        UInt32(number), shard: UInt32(number / plan.parameters.chainLength),
        position: UInt32(number % plan.parameters.chainLength))
    }
    if plan.head == plan.node {
      for number in 0..<plan.parameters.globalSchedulers {
        recorder.addGlobalScheduler(
          number, nodes: plan.nodes, placement: plan.placement, seed: plan.seed)
      }
    }
    let place = UnsafeMutablePointer<StreamRecorder>.allocate(capacity: 1)
    place.initialize(to: recorder)
    return place
  }

  /// Writes down what a machine of this node is about to hear.
  @inline(never)
  func record(_ envelope: Envelope) {
    guard isHere(envelope.target) else { return }
    recorder?.pointee.heard(
      envelope.message, from: envelope.source, to: envelope.target, at: now)
  }
}
