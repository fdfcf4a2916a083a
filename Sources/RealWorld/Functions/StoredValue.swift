import Primitives

/// Where the bytes of an object of this node lie. An object without an entry has no bytes, as the
/// result of a function that returns nothing.
struct StoredValue: BitwiseCopyable {
  enum Form: UInt8, BitwiseCopyable {
    /// Up to 16 bytes, in this very record.
    case inline
    /// A block of the heap, owned by the record.
    case heap
    /// In the shared segment, under the object's key.
    case segment
    case onDisk
  }

  var count: Int
  var words: InlineArray<2, UInt64>
  var form: Form

  static let inlineLimit = 16
  /// Larger values are sent to a program when it reads them, not before.
  static let unaskedLimit = 4 << 10
  /// Larger values lie in the shared segment, where other processes of the node read them in place.
  static let segmentThreshold = 64 << 10

  /// Copies up to 16 bytes, or into a new block.
  init(copying bytes: UnsafeRawBufferPointer) {
    count = bytes.count
    words = .init(repeating: 0)
    if bytes.count <= Self.inlineLimit {
      form = .inline
      if let base = bytes.baseAddress {
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: .init(start: base, count: count)) }
      }
    } else {
      form = .heap
      let block = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 16)
      block.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
      words[0] = UInt64(UInt(bitPattern: block))
    }
  }

  /// Takes over a block of the heap, or names a place in the segment; there `key` is what the node's
  /// memory knows it by, and for a client the number of its loan.
  init(_ form: Form, at address: UnsafeMutableRawPointer?, count: Int, key: UInt64 = 0) {
    self.form = form
    self.count = count
    words = .init(repeating: 0)
    words[0] = UInt64(UInt(bitPattern: address))
    words[1] = key
  }

  var key: UInt64 { words[1] }

  /// The block of a value that is not inline.
  var address: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: UInt(words[0])) }

  func deallocate() { if form == .heap { address?.deallocate() } }
}

extension UnsafeMutablePointer<StoredValue> {
  /// The bytes, valid while the record stays where it is.
  var bytes: UnsafeRawBufferPointer {
    switch pointee.form {
    case .inline:
      let words = UnsafeRawPointer(self) + MemoryLayout<StoredValue>.offset(of: \.words)!
      return UnsafeRawBufferPointer(start: words, count: pointee.count)
    case .heap, .segment:
      return UnsafeRawBufferPointer(start: pointee.address, count: pointee.count)
    case .onDisk:
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
  }
}
