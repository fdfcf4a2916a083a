import Primitives
import RuntimeCore

extension RecordWriter: PartSink {}

/// Parts as bytes.
extension RecordWriter {
  @inline(__always) mutating func task(_ task: TaskHandle) { number(UInt64(task.index)) }
  @inline(__always) mutating func object(_ object: ObjectHandle) {
    number(UInt64(object.producer.index))
    signed(Int64(object.index))
  }
  @inline(__always) mutating func number(_ value: UInt64, _ name: StaticString) { number(value) }
  mutating func list(_ count: Int) { number(UInt64(count)) }
  @inline(__always) mutating func node(_ node: NodeID) { number(UInt64(node.index &+ 1)) }
  @inline(__always) mutating func worker(_ worker: WorkerID) { number(UInt64(worker.index &+ 1)) }
  @inline(__always) mutating func size(_ size: ByteCount) { number(size.bytes) }
  @inline(__always) mutating func span(_ span: TimeSpan) { number(span.nanoseconds) }
  @inline(__always) mutating func address(_ address: Address) {
    number(UInt64(address.raw >> 29) | UInt64(address.number) << 2)
  }
  @inline(__always) mutating func status(_ status: ObjectStatus) { byte(status.rawValue) }
  @inline(__always) mutating func kind(_ kind: MessageKind) { number(UInt64(kind.rawValue)) }
  mutating func vector(_ vector: ResourceVector, _ name: StaticString) { self.vector(vector) }
  mutating func real(_ value: Double, _ name: StaticString) { word(value.bitPattern) }
}
