import Heliostat
import Primitives

/// A value with as many zeros behind it as make it a given size: for what an experiment moves about
/// and never looks into. In the real world the bytes are really stored and sent; in memory, and so
/// in the simulated world, only their number is kept.
struct Sized<Value: RemoteValue>: RemoteValue {
  var value: Value
  private(set) var zeros: Int

  /// - Parameter size: of the whole object; a value that is larger by itself stays as it is.
  init(_ value: Value, size: ByteCount) {
    self.value = value
    let own = EncodedValue.headByteCount + value.encodedByteCount + 8
    zeros = max(0, Int(clamping: size.bytes) - own)
  }

  private init(_ value: Value, zeros: Int) {
    self.value = value
    self.zeros = zeros
  }

  static var fingerprint: UInt32 { Fingerprint.of(name: "Sized", Value.fingerprint) }
  var encodedByteCount: Int { value.encodedByteCount + 8 + zeros }

  func encode(into writer: inout ValueWriter) {
    value.encode(into: &writer)
    writer.write(count: zeros)
    let block = 65_536
    withUnsafeTemporaryAllocation(byteCount: min(zeros, block), alignment: 16) { memory in
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      for start in stride(from: 0, to: zeros, by: block) {
        writer.write(bytes: UnsafeRawBufferPointer(rebasing: memory[..<min(block, zeros - start)]))
      }
    }
  }

  static func decode(from reader: inout ValueReader) throws -> Sized {
    let value = try Value.decode(from: &reader)
    let zeros = try reader.readCount(for: Self.self)
    _ = try reader.read(bytes: zeros, for: Self.self)
    return Sized(value, zeros: zeros)
  }
}
