import RuntimeCore

/// The 16 bytes in front of every frame, little-endian:
///
///     0  length    UInt32   of the whole frame, header included
///     4  kind      UInt8    a `MessageKind` below 128; from 128 on, frames of the layer above
///     5  flags     UInt8    meaning depends on the kind
///     6  repeats   UInt16   further messages like this one, each about the next sibling of the
///                           task before: see `MessageEncoder.repetition`; 0 for other kinds
///     8  source    UInt32   `Address.raw`
///     12 target    UInt32   `Address.raw`
@frozen
public struct FrameHeader: Hashable, Sendable, BitwiseCopyable {
  public var length: UInt32
  public var kind: UInt8
  public var flags: UInt8
  public var repeats: UInt16 = 0
  public var source: Address
  public var target: Address

  @inlinable public static var byteCount: Int { 16 }
  /// Kinds from here on belong to the layer above: worker commands, membership, object chunks.
  @inlinable public static var firstUpperKind: UInt8 { 128 }

  @inlinable public init(
    length: Int, kind: UInt8, flags: UInt8 = 0, source: Address, target: Address
  ) {
    self.length = UInt32(truncatingIfNeeded: length)
    self.kind = kind
    self.flags = flags
    self.source = source
    self.target = target
  }

  /// Writes the header to 16 bytes at `pointer`, which need no alignment.
  @inlinable public func write(to pointer: UnsafeMutableRawPointer) {
    let first =
      UInt64(length) | UInt64(kind) << 32 | UInt64(flags) << 40 | UInt64(repeats) << 48
    let second = UInt64(source.raw) | UInt64(target.raw) << 32
    pointer.storeBytes(of: first.littleEndian, as: UInt64.self)
    pointer.storeBytes(of: second.littleEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// Reads the header at the front of `bytes`, which may hold more, or not yet the whole frame.
  ///
  /// - Throws: `FrameError` when there are fewer than 16 bytes, the length cannot be, or the
  ///   frame repeats what cannot be. Whether kind and addresses mean anything is for the decoders
  ///   to say.
  @inline(__always) @inlinable public init(reading bytes: UnsafeRawBufferPointer) throws(FrameError)
  {
    guard let base = bytes.baseAddress, bytes.count >= Self.byteCount else {
      throw FrameError(
        .truncated, "frame header", found: UInt64(bytes.count), expected: UInt64(Self.byteCount))
    }
    let first = UInt64(littleEndian: base.loadUnaligned(as: UInt64.self))
    let second = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    length = UInt32(truncatingIfNeeded: first)
    kind = UInt8(truncatingIfNeeded: first >> 32)
    repeats = UInt16(truncatingIfNeeded: first >> 48)
    guard repeats == 0 || kind < Self.firstUpperKind else {
      throw FrameError(.mismatch, "repeats of a frame", found: first >> 48, expected: 0)
    }
    flags = UInt8(truncatingIfNeeded: first >> 40)
    source = Address(raw: UInt32(truncatingIfNeeded: second))
    target = Address(raw: UInt32(truncatingIfNeeded: second >> 32))
    guard length >= UInt32(Self.byteCount) else {
      throw FrameError(
        .truncated, "frame length", found: UInt64(length), expected: UInt64(Self.byteCount))
    }
  }

  /// The length of the frame at the front of `bytes`; nil while fewer than four bytes are there.
  ///
  /// - Throws: `FrameError` when the length is below 16 or above `limit`: no later byte can mend
  ///   it.
  @inlinable public static func frameLength(
    in bytes: UnsafeRawBufferPointer, limit: Int
  ) throws(FrameError) -> Int? {
    guard let base = bytes.baseAddress, bytes.count >= 4 else { return nil }
    let length = Int(UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)))
    guard length >= byteCount else {
      throw FrameError(
        .truncated, "frame length", found: UInt64(length), expected: UInt64(byteCount))
    }
    guard length <= limit else {
      throw FrameError(.tooLong, "frame", found: UInt64(length), expected: UInt64(max(0, limit)))
    }
    return length
  }
}
