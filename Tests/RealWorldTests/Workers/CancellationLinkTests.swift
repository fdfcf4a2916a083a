import Glibc
import Primitives
import Testing

@testable import RealWorld

@Suite("The link that tells a worker process what is to stop", .timeLimit(.minutes(10)))
struct CancellationLinkTests {
  private struct Request: Equatable {
    var number: UInt32
    var isRecursive: Bool
  }

  private func waiting(_ count: Int) -> [Request] {
    (0..<count).map { Request(number: UInt32($0) &* 0x1234_5679 >> 1, isRecursive: $0 % 3 == 0) }
  }

  @Test(
    "Requests come in order and whole, more than the link holds too",
    arguments: [1, 255, 257, 100_000])
  func order(_ count: Int) throws {
    let (writer, descriptor) = try CancellationWriter.open()
    defer { close(descriptor) }
    let sent = waiting(count)
    for request in sent {
      writer.append(TaskHandle(request.number), isRecursive: request.isRecursive)
    }
    var reader = CancellationReader(descriptor)
    var found: [Request] = []
    var isDone = writer.flush()
    // Nobody has read: so much does not fit.
    if count == 100_000 { #expect(!isDone) }
    while found.count < count {
      reader.read { found.append(Request(number: $0.index, isRecursive: $1)) }
      if !isDone { isDone = writer.flush() }
    }
    #expect(isDone)
    #expect(found == sent)
  }

  @Test("A process that has gone is written to in vain, and one whose node has gone reads no more")
  func ends() throws {
    do {
      let (writer, descriptor) = try CancellationWriter.open()
      close(descriptor)
      writer.append(TaskHandle(3), isRecursive: true)
      // Not the end of this process by SIGPIPE.
      #expect(writer.flush())
    }
    var descriptor: Int32 = -1
    do {
      let (writer, end) = try CancellationWriter.open()
      descriptor = end
      withExtendedLifetime(writer) {}
    }
    defer { close(descriptor) }
    var reader = CancellationReader(descriptor)
    reader.read { _, _ in Issue.record("nobody has sent anything") }
    #expect(reader.descriptor == -1)
  }

  @Test("Numbers of tasks are in order where they start anew, and are none that says no task")
  func numbers() {
    let end: UInt64 = 1 << 31
    for before in [0, 1, end - 2, end - 1, end, 2 * end - 1, 7 * end - 1] {
      let (number, next) = (WorkerFrame.number(before), WorkerFrame.number(before + 1))
      #expect(number != .none)
      #expect(WorkerFrame.isLater(next, than: number))
      #expect(!WorkerFrame.isLater(number, than: next))
      #expect(!WorkerFrame.isLater(number, than: number))
    }
  }
}
