/// Immutable bytes. Those that come out of the object store are read where they lie.
public typealias Bytes = Vector<UInt8>

/// An immutable array of plain values in memory that somebody else may own: one that is decoded is
/// a view on the store's memory and keeps that alive. It is encoded as an array is, so a function
/// may return `[Double]` and another take it as `Vector<Double>`.
public struct Vector<Element: PlainValue>: @unchecked Sendable {
  // Safe to share: nobody writes to the memory while `owner` lives.
  private let start: UnsafePointer<Element>?
  public let count: Int
  private let owner: AnyObject?

  /// A copy of the elements.
  public init(_ elements: some Collection<Element>) {
    let memory = VectorMemory<Element>(elements)
    start = memory.elements.baseAddress.map { UnsafePointer($0) }
    count = memory.elements.count
    owner = memory
  }

  /// A view on memory that nobody changes while `owner` lives.
  public init(viewing elements: UnsafeBufferPointer<Element>, owner: AnyObject) {
    start = elements.baseAddress
    count = elements.count
    self.owner = owner
  }

  /// The elements in place, for the time of the call.
  public func withUnsafeBufferPointer<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(owner) {} }
    return try body(UnsafeBufferPointer(start: start, count: count))
  }

  /// The bytes of the elements in place, for the time of the call.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(owner) {} }
    return try body(
      UnsafeRawBufferPointer(start: start, count: count * MemoryLayout<Element>.stride))
  }
}

/// Memory that a vector owns itself.
private final class VectorMemory<Element: PlainValue> {
  let elements: UnsafeMutableBufferPointer<Element>

  init(_ source: some Collection<Element>) {
    elements = .allocate(capacity: source.count)
    _ = elements.initialize(fromContentsOf: source)
  }

  init(copying bytes: UnsafeRawBufferPointer, count: Int) {
    elements = .allocate(capacity: count)
    UnsafeMutableRawBufferPointer(elements).copyMemory(from: bytes)
  }

  deinit { elements.deallocate() }
}

extension Vector: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  public subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count, "element \(index) of \(count)")
    defer { withExtendedLifetime(owner) {} }
    return start.unsafelyUnwrapped[index]
  }

  public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result? {
    try withUnsafeBufferPointer(body)
  }
}

extension Vector: Equatable where Element: Equatable {
  public static func == (a: Vector, b: Vector) -> Bool { a.elementsEqual(b) }
}

extension Vector: ExpressibleByArrayLiteral {
  public init(arrayLiteral elements: Element...) { self.init(elements) }
}

extension Vector: CustomStringConvertible {
  public var description: String { Array(self).description }
}

extension Vector: RemoteValue {
  public static var fingerprint: UInt32 { [Element].fingerprint }
  public var encodedByteCount: Int { 8 + count * MemoryLayout<Element>.stride }

  public func encode(into writer: inout ValueWriter) {
    writer.write(count: count)
    withUnsafeBytes { writer.write(bytes: $0) }
  }

  /// A view when the memory has an owner and lies aligned, as the first thing in an object does; a
  /// copy otherwise.
  public static func decode(from reader: inout ValueReader) throws -> Vector {
    let count = try reader.readCount(for: Self.self)
    let bytes = try reader.readElements(count, of: Element.self)
    let address = UInt(bitPattern: bytes.baseAddress)
    if let owner = reader.owner, address % UInt(MemoryLayout<Element>.alignment) == 0 {
      return Vector(viewing: bytes.bindMemory(to: Element.self), owner: owner)
    }
    let memory = VectorMemory<Element>(copying: bytes, count: count)
    return Vector(viewing: UnsafeBufferPointer(memory.elements), owner: memory)
  }
}
