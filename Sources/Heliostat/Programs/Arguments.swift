import Primitives
import RealWorld
import RuntimeCore

/// The arguments of one call on their way into a task's specification.
///
/// The simulated world keeps values as they are. The real world encodes them: a head of 8 bytes for
/// each argument, then the value, padded to 8 bytes. The head is the value's length in bytes, or
/// all ones for an argument by future. Without any value nothing is encoded at all.
@usableFromInline struct ArgumentList {
  @usableFromInline let isEncoding: Bool
  @usableFromInline var objects: [ObjectHandle] = []
  var stored: [StoredArgument] = []
  @usableFromInline var bytes: [UInt8] = []
  /// Futures that came before the first value.
  @usableFromInline var leadingRefs = 0
  @usableFromInline var failure: ValueError?

  @inlinable init(isEncoding: Bool) { self.isEncoding = isEncoding }

  @inlinable mutating func append(ref handle: ObjectHandle) {
    objects.append(handle)
    if !isEncoding {
      keep(.ref(handle))
    } else if bytes.isEmpty {
      leadingRefs += 1
    } else {
      appendHead(.max)
    }
  }

  @inlinable mutating func append<Value: RemoteValue>(value: Value) {
    if !isEncoding {
      keep(.value(value))
      return
    }
    if bytes.isEmpty { for _ in 0..<leadingRefs { appendHead(.max) } }
    let count = EncodedValue.byteCount(of: value)
    appendHead(UInt64(count))
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: (count + 7) & ~7))
    bytes.withUnsafeMutableBytes { memory in
      do throws(ValueError) {
        try EncodedValue.write(
          value, into: UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + count)]))
      } catch {
        failure = error
      }
    }
  }

  @usableFromInline mutating func appendHead(_ head: UInt64) {
    withUnsafeBytes(of: head.littleEndian) { bytes.append(contentsOf: $0) }
  }

  @usableFromInline mutating func keep(_ argument: StoredArgument) { stored.append(argument) }
}

/// Hands a function its arguments in order: in the real world out of bytes, in the simulated world the
/// values themselves.
struct ArgumentReader {
  private enum Source {
    case stored([StoredArgument], (ObjectHandle) -> (any Sendable)?)
    case bytes(CallInput)
  }

  private let source: Source
  private var next = 0
  private var offset = 0
  private var nextObject = 0

  init(_ arguments: [StoredArgument], values: @escaping (ObjectHandle) -> (any Sendable)?) {
    source = .stored(arguments, values)
  }

  init(_ input: CallInput) { source = .bytes(input) }

  /// - Throws: `ValueError` when the bytes are no `Value`: another type was passed by future.
  mutating func read<Value: RemoteValue>(_ type: Value.Type) throws -> Value {
    defer { next += 1 }
    switch source {
    case .stored(let arguments, let values):
      let found: (any Sendable)? =
        switch arguments[next] {
        case .value(let value): value
        case .ref(let object): values(object)
        }
      guard let value = found as? Value else {
        preconditionFailure("argument \(next) is \(String(describing: found)), not a \(Value.self)")
      }
      return value
    case .bytes(let input):
      let before = nextObject
      let bytes = try nextBytes(input.values, input.objects, type)
      let owner = nextObject > before ? input.owner(of: before) : nil
      return try EncodedValue.read(type, from: bytes, owner: owner)
    }
  }

  private mutating func nextBytes<Value>(
    _ values: UnsafeRawBufferPointer, _ objects: UnsafeBufferPointer<UnsafeRawBufferPointer>,
    _ type: Value.Type
  ) throws -> UnsafeRawBufferPointer {
    var head = UInt64.max
    if !values.isEmpty {
      guard offset + 8 <= values.count else {
        throw ValueError.truncated(type: "\(type)", expected: 8, found: values.count - offset)
      }
      head = UInt64(littleEndian: values.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
    }
    if head == .max {
      guard nextObject < objects.count else {
        throw ValueError.malformed(type: "\(type)", reason: "the call has too few arguments")
      }
      nextObject += 1
      return objects[nextObject - 1]
    }
    guard head <= UInt64(values.count - offset) else {
      throw ValueError.truncated(
        type: "\(type)", expected: Int(clamping: head), found: values.count - offset)
    }
    let start = offset
    offset = min(values.count, start + (Int(head) + 7) & ~7)
    return UnsafeRawBufferPointer(rebasing: values[start..<(start + Int(head))])
  }
}

/// An argument as a task of the simulated world holds it until it runs.
@usableFromInline enum StoredArgument: Sendable {
  case value(any Sendable)
  case ref(ObjectHandle)
}
