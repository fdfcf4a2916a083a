import Primitives
import RuntimeCore

/// How long each single-threaded component is busy with each kind of message.
///
/// Every machine is a server with one queue: a message waits until those before it are served, and
/// what the machine orders leaves when its own service ends.
public struct ServiceTimes: Sendable, Equatable {
  private var table: [TimeSpan]

  public init(everywhere time: TimeSpan = .zero) {
    table = Array(repeating: time, count: Address.Role.allCases.count * Self.kinds)
  }

  static let kinds = 64

  public subscript(role: Address.Role, kind: MessageKind) -> TimeSpan {
    get { table[Int(role.rawValue) * Self.kinds + Int(kind.rawValue)] }
    set { table[Int(role.rawValue) * Self.kinds + Int(kind.rawValue)] = newValue }
  }

  /// Sets every kind of one component.
  public mutating func set(_ role: Address.Role, to time: TimeSpan) {
    for kind in MessageKind.allCases { self[role, kind] = time }
  }

  func copy(to pointer: UnsafeMutablePointer<UInt64>) {
    for (i, time) in table.enumerated() { pointer[i] = time.nanoseconds }
  }

  var count: Int { table.count }
}

/// What the API calls of a driver or a worker's program cost its own process.
public struct ClientCosts: Sendable, Equatable {
  /// Creating and sending one task.
  public var submit = TimeSpan.zero
  /// One `get` or `wait` call, besides what each result costs on arrival.
  public var call = TimeSpan.zero
  /// `put` of objects up to `threadedAbove`: fixed cost, then bytes at `putBandwidth`.
  public var putFixed = TimeSpan.zero
  public var putBandwidth = Bandwidth.unlimited
  /// Larger objects are copied by several threads.
  public var threadedAbove = ByteCount(.max)
  public var threadedFixed = TimeSpan.zero
  public var threadedBandwidth = Bandwidth.unlimited

  public init() {}

  func put(_ size: ByteCount) -> TimeSpan {
    size > threadedAbove
      ? threadedFixed + threadedBandwidth.time(for: size)
      : putFixed + putBandwidth.time(for: size)
  }
}

/// What it takes to use a worker process.
public struct WorkerCosts: Sendable, Equatable {
  /// Starting a process.
  public var start = TimeSpan.zero
  /// From the raylet's order to the first instruction of the task.
  public var dispatch = TimeSpan.zero
  /// From the last instruction to the raylet's notice.
  public var finish = TimeSpan.zero

  public init() {}
}
