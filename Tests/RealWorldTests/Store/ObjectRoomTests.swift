import Glibc
import Primitives
import Testing

@testable import RealWorld

@Suite("Memory that is made while it fills") struct ObjectRoomTests {
  private static let places: [[SharedSegment.Place]] = [
    SharedSegment.sharedPlaces, [.directory("/dev/shm")], [.anonymousMemory], [.privateMemory],
  ]

  @Test(
    "Blocks and single bytes in turn arrive where they belong, in fresh memory and used again",
    arguments: places)
  func writes(places: [SharedSegment.Place]) throws {
    let segment = try SharedSegment.create(byteCount: 24 << 20, in: places)
    let block = pattern(1, (5 << 20) + 17)
    for offset in [0, 4096, 3 << 20] {
      for round in 0..<2 as Range<UInt8> {
        let count = 8 + block.count + 100
        let room = ObjectRoom(segment.bytes(at: offset, count: count), of: segment)
        #expect(room.prepared == 0)
        #expect(try room.prepare(0, 8) >= 8)
        room.memory[0] = round
        room.memory[7] = round
        try block.withUnsafeBytes { try room.copy($0, at: 8) }
        #expect(try room.prepare(8 + block.count, count) == count)
        room.memory[count - 1] = round
        let bytes = segment.bytes(at: offset, count: count)
        #expect(bytes[0] == round && bytes[7] == round && bytes[count - 1] == round)
        #expect(bytes[8..<8 + block.count].elementsEqual(block))
        try room.prepareAll()
        #expect(segment.isCommitted(at: offset, count: count))
      }
    }
  }

  @Test("A client writes fresh memory through the file; the owner reads it, and so does the client")
  func client() throws {
    let owner = try SharedSegment.create(byteCount: 16 << 20)
    let client = try SharedSegment.attach(path: owner.path, writable: true)
    let block = pattern(2, 9 << 20)
    let room = ObjectRoom(client.bytes(at: 100, count: block.count), of: client)
    try block.withUnsafeBytes { try room.copy($0, at: 0) }
    #expect(owner.bytes(at: 100, count: block.count).elementsEqual(block))
    #expect(client.bytes(at: 100, count: block.count).elementsEqual(block))
    // Mapped in the background, it is as if it had been all the time.
    let toucher = PageToucher(client)
    toucher.raise(to: 12 << 20)
    toucher.waitUntilIdle()
    #expect(client.isTouched(at: 1 << 20, count: 8 << 20))
    #expect(client.state(15) == SharedSegment.StepState.bare, "only what was written is mapped")
    #expect(client.bytes(at: 100, count: block.count).elementsEqual(block))
  }

  @Test(
    "A full file system is an error for owner and client, and no signal",
    .enabled(if: SmallFileSystem.isAllowed, "needs the right to mount"))
  func full() throws {
    let files = try #require(SmallFileSystem(byteCount: 8 << 20))
    defer { files.remove() }
    // As large as the file system, in which somebody else then takes room.
    let owner = try SharedSegment.create(
      byteCount: 8 << 20, in: [.directory(files.directory.path)])
    let path = "\(files.directory.path)/other"
    let other = open(path, O_RDWR | O_CREAT, 0o600)
    defer { close(other) }
    let filler = [UInt8](repeating: 1, count: 4 << 20)
    #expect(write(other, filler, filler.count) == filler.count)
    let client = try SharedSegment.attach(path: owner.path, writable: true)
    let block = pattern(3, 8 << 20)
    for segment in [client, owner] {
      let room = ObjectRoom(segment.bytes(at: 0, count: block.count), of: segment)
      let error = failure { () throws(StoreError) in
        var result: StoreError?
        block.withUnsafeBytes { bytes in
          do throws(StoreError) { try room.copy(bytes, at: 0) } catch { result = error }
        }
        if let result { throw result }
      }
      guard case .sharedMemoryFull = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(failure { () throws(StoreError) in try room.prepareAll() } != nil)
    }
  }

  @Test("Pages ahead of programs: there while they are, given back when they have gone")
  func aheadOfPrograms() throws {
    let mebibyte = 1 << 20
    let segment = try SharedSegment.create(byteCount: 64 * mebibyte)
    var memory = ObjectMemory(segment: segment, idleAhead: 2 * mebibyte)
    memory.waitUntilTouched()
    #expect(!segment.isCommitted(at: 3 * mebibyte, count: mebibyte))
    for round in 0..<3 as Range<UInt64> {
      memory.expectPrograms(ahead: 40 * mebibyte)
      memory.waitUntilTouched()
      #expect(segment.isCommitted(at: 0, count: 40 * mebibyte))
      #expect(pages(of: segment) >= 40 * mebibyte)
      memory.expectPrograms(ahead: 0)
      // While memory is given back, objects come that need some of it.
      let bytes = pattern(round, 5 * mebibyte)
      for key in 0..<4 as Range<UInt64> {
        try bytes.withUnsafeBytes { try memory.put(round * 10 + key, $0) }
      }
      memory.waitUntilTouched()
      for key in 0..<4 as Range<UInt64> {
        let extent = try memory.get(round * 10 + key)
        #expect(segment.bytes(at: extent.offset, count: extent.count).elementsEqual(bytes))
        try memory.release(round * 10 + key)
        try memory.delete(round * 10 + key)
      }
      memory.expectPrograms(ahead: 1)
      memory.expectPrograms(ahead: 0)
      memory.waitUntilTouched()
    }
    #expect(pages(of: segment) <= 30 * mebibyte, "\(pages(of: segment)) stay")
    #expect(segment.state(60) == SharedSegment.StepState.bare)
  }

  /// Bytes of memory that the segment's file has.
  private func pages(of segment: SharedSegment) -> Int {
    var status = stat()
    fstat(segment.descriptor, &status)
    return Int(status.st_blocks) * 512
  }

  @Test("Private memory cannot be attached, and says so")
  func privateMemory() throws {
    let segment = try SharedSegment.create(byteCount: 4096, in: [.privateMemory])
    #expect(UInt(bitPattern: segment.base) % UInt(2 << 20) == 0)
    #expect(throws: StoreError.self) {
      _ = try SharedSegment.attach(path: segment.path, writable: false)
    }
  }
}
