import Primitives
import Testing

@testable import RuntimeCore

@Suite("sizes of what is copied for every event")
struct LayoutTests {
  @Test("a message is three words and a tag of its own, and an effect fits in one cache line")
  func sizes() {
    #expect(MemoryLayout<Message>.size == 25)
    #expect(MemoryLayout<Effect>.stride <= 64)
    // A hundred thousand workers take 3.2 MB.
    #expect(MemoryLayout<WorkerPool.Worker>.stride == 32)
  }

  @Test("every kind of message has a name of its own, in words joined by hyphens")
  func names() {
    let names = MessageKind.allCases.map(\.name)
    #expect(Set(names).count == names.count)
    #expect(MessageKind.taskSubmitted.name == "task-submitted")
    #expect(names.allSatisfy { $0 == $0.lowercased() && !$0.contains(" ") })
  }

  @Test("an address keeps its role and number")
  func addresses() {
    for role in Address.Role.allCases {
      for number in [UInt32(0), 1, 1000, 0x1FFF_FFFE] {
        let address = Address(role, number)
        #expect(address.role == role && address.number == Int(number))
      }
    }
  }
}
