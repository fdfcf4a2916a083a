import Primitives
import Synchronization

/// The remote functions of a process, by name. A function's number is its place in the order of
/// registration; all processes of a cluster must register the same functions in the same order.
///
/// Threads read entries without a lock: an entry never moves, and whoever learns a number learnt it
/// after the entry was made.
public final class FunctionTable: Sendable {
  private struct State: ~Copyable {
    var names: [String] = []
  }

  private static let chunk = 256
  private let state = Mutex(State())
  private nonisolated(unsafe) let chunks: UnsafeMutablePointer<UnsafeMutablePointer<FunctionBody>?>
  public static let limit = 1 << 16
  /// What goes with the functions and lives as long as the table; for who made it.
  public let companion: (any AnyObject & Sendable)?

  /// A table with function 0, the driver's own program.
  public init(companion: (any AnyObject & Sendable)? = nil) {
    self.companion = companion
    chunks = .allocate(capacity: Self.limit / Self.chunk)
    chunks.initialize(repeating: nil, count: Self.limit / Self.chunk)
    register("driver", .modelled)
  }

  deinit {
    let count = state.withLock { $0.names.count }
    for i in stride(from: 0, to: count, by: Self.chunk) {
      let entries = min(Self.chunk, count - i)
      chunks[i / Self.chunk]?.deinitialize(count: entries).deallocate()
    }
    chunks.deallocate()
  }

  /// Registers a function; under a name that is known already it is a function of its own.
  @discardableResult
  public func register(_ name: String, _ body: FunctionBody) -> FunctionID {
    state.withLock { state in
      let number = state.names.count
      precondition(number < Self.limit, "more than \(Self.limit) remote functions")
      if number % Self.chunk == 0 { chunks[number / Self.chunk] = .allocate(capacity: Self.chunk) }
      (chunks[number / Self.chunk]! + number % Self.chunk).initialize(to: body)
      state.names.append(name)
      return FunctionID(number)
    }
  }

  /// The names in the order of their numbers.
  public var names: [String] { state.withLock { $0.names } }
  public var count: Int { state.withLock { $0.names.count } }

  public func name(_ function: FunctionID) -> String {
    state.withLock { state in
      let index = Int(function.index)
      return index < state.names.count ? state.names[index] : "function \(index)"
    }
  }

  /// The body of a registered function.
  func body(_ function: FunctionID) -> UnsafeMutablePointer<FunctionBody> {
    chunks[Int(function.index) / Self.chunk]! + Int(function.index) % Self.chunk
  }
}
