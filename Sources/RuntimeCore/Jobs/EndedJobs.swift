import Primitives

/// The jobs whose drivers have gone, as one machine has heard of them: a word for each, for ever, since
/// nobody knows how late a message about one of their tasks may come.
struct EndedJobs: ~Copyable {
  private static let none = UInt64.max

  private var ended = WordMap<Bool>()
  /// The job that was last found to live on: mostly that of the next task, too.
  private var living = EndedJobs.none

  var isEmpty: Bool { ended.count == 0 }
  var memoryBytes: Int { ended.memoryBytes }

  /// False when that was known already.
  mutating func insert(_ job: JobID) -> Bool {
    living = Self.none
    if ended.contains(UInt64(job.number)) { return false }
    ended.set(UInt64(job.number), true)
    return true
  }

  @inline(__always)
  mutating func contains(_ id: TaskID) -> Bool {
    let number = UInt64(id.job.number)
    return number != living && isEnded(number)
  }

  private mutating func isEnded(_ number: UInt64) -> Bool {
    if ended.contains(number) { return true }
    living = number
    return false
  }

  /// All of them, by number.
  var all: [JobID] { ended.keys { $0 }.map { JobID(UInt32(truncatingIfNeeded: $0)) } }
}
