import RealWorld

/// Writes a value straight into memory of exactly its size, such as a place in the object store: a
/// large array is copied once, by several threads when there are.
public struct ValueWriter {
  private var cursor: UnsafeMutableRawPointer
  /// Up to here memory can be written at once.
  private var prepared: UnsafeMutableRawPointer
  private let end: UnsafeMutableRawPointer
  private let room: ObjectRoom
  /// Blocks from this size on go to their room whole.
  private static let block = 1 << 20
  /// Why writing stopped; nothing is written after that.
  public private(set) var failure: ValueError?

  /// The memory must outlive the writer.
  public init(into memory: UnsafeMutableRawBufferPointer) {
    self.init(into: ObjectRoom(memory))
  }

  /// The room must outlive the writer.
  public init(into room: ObjectRoom) {
    self.room = room
    // Memory of no bytes may have no address; then nothing is ever written.
    cursor = room.memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    prepared = cursor + room.prepared
    end = cursor + room.count
  }

  /// Bytes still to be written.
  public var remaining: Int { end - cursor }

  /// Takes the next `count` bytes; nil, and a failure, when the value is larger than it said.
  private mutating func take(_ count: Int) -> UnsafeMutableRawPointer? {
    guard failure == nil else { return nil }
    if count > prepared - cursor && !prepare(count) { return nil }
    let place = cursor
    cursor += count
    return place
  }

  /// Whether the next `count` bytes can be written, now that their pages are made.
  @inline(never) private mutating func prepare(_ count: Int) -> Bool {
    guard count <= remaining else {
      fail(
        .notEncodable(
          type: "a value", reason: "it writes more bytes than its encodedByteCount"))
      return false
    }
    let start = end - room.count
    do throws(StoreError) {
      prepared = start + (try room.prepare(max(cursor, prepared) - start, cursor - start + count))
      return true
    } catch {
      fail(.noMemory(reason: "\(error)"))
      return false
    }
  }

  /// Writes an integer, little-endian.
  public mutating func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
    take(MemoryLayout<Value>.size)?.storeBytes(of: value.littleEndian, as: Value.self)
  }

  /// Writes the memory of a plain value.
  public mutating func write<Value: PlainValue>(plain value: Value) {
    take(MemoryLayout<Value>.size)?.storeBytes(of: value, as: Value.self)
  }

  public mutating func write(bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    if bytes.count >= Self.block && bytes.count <= remaining && failure == nil {
      do throws(StoreError) {
        try room.copy(bytes, at: room.count - remaining)
        cursor += bytes.count
      } catch {
        fail(.noMemory(reason: "\(error)"))
      }
      return
    }
    take(bytes.count)?.copyMemory(from: start, byteCount: bytes.count)
  }

  /// Writes a number of elements or bytes that follow.
  public mutating func write(count: Int) { write(UInt64(count)) }

  /// Gives up: the value cannot be written. The first failure counts.
  public mutating func fail(_ error: ValueError) {
    if failure == nil { failure = error }
  }
}
