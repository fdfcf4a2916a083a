/// The two rings between a node and a program on a thread of its process. They go with the last of
/// those who write: the node's port, the program's thread and whoever still holds its client.
final class RingPair: Sendable {
  let toNode = FrameRing.allocate(capacity: RingOutlet.capacity)
  let toClient = FrameRing.allocate(capacity: RingOutlet.capacity)

  deinit {
    RingOutlet.discardRuns(of: toNode)
    RingOutlet.discardRuns(of: toClient)
    toNode.deallocate()
    toClient.deallocate()
  }
}

extension RingOutlet {
  /// Reads what nobody waits for, and frees the frames to which it refers.
  static func discardRuns(of ring: FrameRing) {
    while let run = ring.next() {
      if run.count == 32, run[4] == referenceKind { frame(of: run).deallocate() }
      ring.release()
    }
  }
}
