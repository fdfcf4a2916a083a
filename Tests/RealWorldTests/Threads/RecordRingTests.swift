import Testing

@testable import RealWorld

@Suite("rings of records")
struct RecordRingTests {
  @Test("a look ahead sees what has come and is not read, and nothing else")
  func peek() {
    let ring = RecordRing<Int>.allocate(capacity: 4)
    defer { ring.deallocate() }
    #expect(ring.peek(0) == nil)
    for round in 0..<10 {
      for i in 0..<4 {
        let appended = ring.append(round * 10 + i)
        #expect(appended)
      }
      let isFull = !ring.append(99)
      #expect(isFull)
      #expect(ring.peek(0) == nil)
      #expect(ring.publish())
      #expect(ring.look() == 4)
      #expect(ring.peek(0) == round * 10)
      #expect(ring.popFirst() == round * 10)
      #expect(ring.peek(0) == round * 10 + 1)
      #expect(ring.peek(2) == round * 10 + 3)
      #expect(ring.peek(3) == nil)
      for i in 1..<4 { #expect(ring.popFirst() == round * 10 + i) }
      #expect(ring.peek(0) == nil)
      #expect(ring.look() == 0)
      #expect(ring.popFirst() == nil)
      ring.release()
    }
  }
}
