import Primitives
import RuntimeCore

/// A step of the protocol without its names and numbers: what a machine of some role, in some
/// state, orders next when it hears something.
///
/// What an input causes is cut into pairs of an order and the one after it, repeated orders taken
/// as one. So two sets of transitions can be compared although no two runs do the same: a machine
/// may do whatever can be put together from pairs that are allowed.
public struct ProtocolTransition: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var role: Address.Role
  /// What it heard: a kind of message, or a call of the program.
  public var input: String
  /// How what the input is about stood before, where the order is `begin`. What comes after the
  /// first order depends on how everything else stands too: there it is `-`.
  public var state: String
  /// An order, `begin` before the first.
  public var order: String
  /// The order after it, `end` after the last.
  public var next: String

  public init(role: Address.Role, input: String, state: String, order: String, next: String) {
    self.role = role
    self.input = input
    self.state = state
    self.order = order
    self.next = next
  }

  public var description: String { "\(role), \(input), \(state): \(order) → \(next)" }

  public static func < (a: ProtocolTransition, b: ProtocolTransition) -> Bool {
    a.description < b.description
  }
}

/// Gathers transitions, and how often each was seen.
public final class TransitionCollector {
  public private(set) var counts: [ProtocolTransition: Int] = [:]

  public init() {}

  /// What was seen here and not in `others`, in order.
  public func missing(in others: TransitionCollector) -> [ProtocolTransition] {
    counts.keys.filter { others.counts[$0] == nil }.sorted()
  }

  public func add(_ transition: ProtocolTransition) { counts[transition, default: 0] += 1 }

  func add(
    _ role: Address.Role, _ input: String, _ state: String,
    _ effects: borrowing EffectBuffer<Effect>
  ) {
    var transition = ProtocolTransition(
      role: role, input: input, state: state, order: "begin", next: "end")
    for i in 0..<effects.count {
      let name = effects[i].orderName
      if name == transition.order { continue }
      transition.next = name
      add(transition)
      transition.order = name
      transition.state = "-"
    }
    transition.next = "end"
    add(transition)
  }
}

extension Effect {
  /// `execute`, or for a message what it is and to whom: `send task-logged to replica`.
  fileprivate var orderName: String {
    guard case .send(let message, let target) = self else { return kind.name }
    return "send \(message.kind.name) to \(target.role)"
  }
}

extension RecordedInput.Content {
  var name: String {
    switch self {
    case .message(let message, _): message.kind.name
    case .started: "started"
    case .submit(_, let notice): "call submit \(notice)"
    case .put: "call put"
    case .request(_, _, let isGet, let fetch, let timeout):
      "call \(isGet ? "get" : "wait")\(fetch ? "" : ", existence")"
        + (timeout.map { $0 == .zero ? ", poll" : ", timeout" } ?? "")
    case .free: "call free"
    case .flush: "call flush"
    case .cancel: "call cancel"
    case .register: "call register"
    }
  }
}

extension ReplayedMachine {
  /// How what the input is about stands with this machine.
  func state(before input: RecordedInput) -> String {
    guard case .message(let message, _) = input.content else { return "-" }
    switch machine {
    case .raylet(let raylet): return raylet.pointee.standing(of: message)
    case .globalScheduler(let scheduler): return scheduler.pointee.standing(of: message)
    case .replica(let replica): return replica.pointee.standing(of: message)
    case .driver(let driver): return driver.pointee.standing(of: message)
    }
  }
}
