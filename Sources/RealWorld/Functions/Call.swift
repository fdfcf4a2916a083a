import Primitives
import RuntimeCore

/// What a function gets: its arguments as bytes.
public struct CallInput: @unchecked Sendable {
  /// The arguments that travelled by value, as the caller encoded them.
  public let values: UnsafeRawBufferPointer
  /// The objects that it was given by future, in order. Their bytes lie in the node's object store
  /// and stay valid until the function returns.
  public let objects: UnsafeBufferPointer<UnsafeRawBufferPointer>
  /// Nil when no large object is among them.
  var owners: ArgumentOwners?

  /// What keeps the bytes of object `index` in place beyond the call, for values that are read where
  /// they lie; nil when they are to be copied.
  public func owner(of index: Int) -> AnyObject? { owners?.loans[index] }
}

/// What keeps the large arguments of one call in place, by number.
final class ArgumentOwners: Sendable {
  let loans: [SegmentLoan?]

  init(_ loans: [SegmentLoan?]) { self.loans = loans }
}

/// Where a function puts its results.
public struct CallOutput: ~Copyable {
  let room: ResultRoom
  let results: UnsafeMutablePointer<StoredValue?>
  /// How many results its caller asked for.
  public let count: Int

  /// Stores result `index` of `byteCount` bytes, which `write` fills: straight into shared memory
  /// when it is large. A result that is never stored has no bytes.
  ///
  /// - Throws: `StoreIsFull` when the node has no room for it, and `ResultCountError` when its caller
  ///   asked for fewer results.
  public mutating func store(
    _ index: Int, byteCount: Int, _ write: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    try store(index, byteCount: byteCount) { (room: ObjectRoom) in
      try room.prepareAll()
      try write(room.memory)
    }
  }

  /// The same into memory that is made while it fills.
  ///
  /// - Throws: as the other, and `StoreError` when the memory cannot be had.
  public mutating func store(
    _ index: Int, byteCount: Int, filling write: (ObjectRoom) throws -> Void
  ) throws {
    if index >= count { throw ResultCountError(returned: index + 1, asked: count) }
    precondition(results[index] == nil, "result \(index) was stored twice")
    if byteCount == 0 { return }
    if byteCount <= StoredValue.inlineLimit {
      var words: InlineArray<2, UInt64> = .init(repeating: 0)
      try withUnsafeMutableBytes(of: &words) {
        try write(ObjectRoom(.init(rebasing: $0[..<byteCount])))
      }
      results[index] = withUnsafeBytes(of: words) {
        StoredValue(copying: .init(rebasing: $0[..<byteCount]))
      }
      return
    }
    let isLarge = byteCount >= StoredValue.segmentThreshold
    let value =
      isLarge
      ? try room.reserve(byteCount)
      : StoredValue(
        .heap, at: .allocate(byteCount: byteCount, alignment: 16), count: byteCount)
    results[index] = value
    let memory = UnsafeMutableRawBufferPointer(start: value.address, count: byteCount)
    try write(isLarge ? ObjectRoom(memory, of: room.segment) : ObjectRoom(memory))
  }
}

/// A node's object store has no room for a result.
public struct StoreIsFull: Error, CustomStringConvertible {
  public let asked: ByteCount

  public init(asked: ByteCount) { self.asked = asked }

  public var description: String { "the node's object store has no room for \(asked)" }
}

/// How a worker asks its node for room in shared memory.
protocol ResultRoom {
  /// Where room lies.
  var segment: SharedSegment { get }
  func reserve(_ byteCount: Int) throws(StoreIsFull) -> StoredValue
}

/// What a worker does when a task with this function comes to it.
public enum FunctionBody: Sendable {
  /// Lasts as long as its specification says and computes nothing.
  case modelled
  case function(@Sendable (CallInput, inout CallOutput) throws -> Void)
  /// Makes an actor's state.
  case constructor(@Sendable (CallInput) throws -> AnyObject)
  case method(@Sendable (AnyObject, CallInput, inout CallOutput) throws -> Void)
  /// `async` code that may submit tasks and wait for them. The arguments are read before it starts;
  /// what it returns stores the results.
  case program(@Sendable (Client, CallInput) throws -> Program)

  public typealias Program = @Sendable () async throws -> ProgramResult
  public typealias ProgramResult = @Sendable (inout CallOutput) throws -> Void
}
