import Synchronization

/// Loans whose last reader has gone, on whatever thread that was; the program's thread gives them back
/// to the node.
final class ReturnedLoans: Sendable {
  private let numbers = Mutex<[UInt64]>([])
  private let hasAny = Atomic<Bool>(false)
  private let wake: (@Sendable () -> Void)?

  /// - Parameter wake: wakes who gives them back; nil when that one is awake often enough.
  init(_ wake: (@Sendable () -> Void)? = nil) { self.wake = wake }

  var isEmpty: Bool { !hasAny.load(ordering: .relaxed) }

  func add(_ number: UInt64) {
    numbers.withLock { $0.append(number) }
    hasAny.store(true, ordering: .releasing)
    wake?()
  }

  func take() -> [UInt64] {
    guard hasAny.load(ordering: .relaxed) else { return [] }
    hasAny.store(false, ordering: .relaxed)
    return numbers.withLock { numbers in
      defer { numbers.removeAll() }
      return numbers
    }
  }
}

/// Keeps a value of the node's segment in place while somebody reads it, and the mapping with it.
final class SegmentLoan: Sendable {
  private let number: UInt64
  private let segment: SharedSegment
  private let returned: ReturnedLoans

  init(_ number: UInt64, _ segment: SharedSegment, _ returned: ReturnedLoans) {
    self.number = number
    self.segment = segment
    self.returned = returned
  }

  deinit { returned.add(number) }
}
