import Glibc
import Primitives
import RealWorld
import Synchronization
import Testing

@Suite struct SharedSegmentTests {
  @Test("Two mappings of a segment see each other's bytes")
  func twoMappings() throws {
    for place in [SharedSegment.Place.directory("/dev/shm"), .directory("/tmp"), .anonymousMemory] {
      let owner = try SharedSegment.create(byteCount: 3 << 20, in: [place])
      try owner.commit(at: 0, count: 3 << 20)
      let client = try SharedSegment.attach(path: owner.path, writable: true)
      let reader = try SharedSegment.attach(path: owner.path, writable: false)
      client.populate(at: 0, count: 3 << 20)
      reader.populate(at: 4097, count: 2 << 20)
      #expect(client.byteCount == 3 << 20)
      #expect(client.base != owner.base)
      client.bytes(at: 1_000_000, count: 5).copyBytes(from: pattern(1, 5))
      owner.bytes(at: 2_000_000, count: 5).copyBytes(from: pattern(2, 5))
      #expect(Array(owner.bytes(at: 1_000_000, count: 5)) == pattern(1, 5))
      #expect(Array(client.bytes(at: 2_000_000, count: 5)) == pattern(2, 5))
      #expect(Array(reader.bytes(at: 1_000_000, count: 5)) == pattern(1, 5))
    }
  }

  @Test("The name goes with the owner, and earlier when it is asked to")
  func nameGoes() throws {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let places = [SharedSegment.Place.directory(directory.path)]
    do {
      let segment = try SharedSegment.create(byteCount: 5000, in: places)
      #expect(segment.byteCount == 8192)
      #expect(directory.entries.count == 1)
      #expect(directory.entries[0].hasPrefix("heliostat-\(getuid())-\(getpid())-"))
      let client = try SharedSegment.attach(path: segment.path, writable: true)
      segment.removeName()
      #expect(directory.entries == [])
      try segment.commit(at: 0, count: 8192)
      client.bytes(at: 0, count: 1)[0] = 7
      #expect(segment.bytes(at: 0, count: 1)[0] == 7)
    }
    _ = try SharedSegment.create(byteCount: 5000, in: places)
    #expect(directory.entries == [])
  }

  @Test("Segments of dead owners are removed, all other files stay")
  func removesAbandoned() throws {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let live = try SharedSegment.create(
      byteCount: 4096, in: [.directory(directory.path)])
    let user = getuid()
    let dead = ["heliostat-\(user)-1-abc", "heliostat-\(user)-99999-0"]
    let others = [
      "heliostat-\(user + 1)-1-abc", "heliostat-\(user)-1", "heliostat-\(user)-1-abc-d",
      "heliostat-\(user)-x-abc", "heliostat-\(user)-1-xyz", "heliostat", "notes",
      "heliostat_spill-\(user)-1-abc",
    ]
    for name in dead + others { directory.touch(name) }
    let linkPath = "\(directory.path)/heliostat-\(user)-2-ff"
    symlink("/etc/hostname", linkPath)
    #expect(SharedSegment.removeAbandoned(in: directory.path) == dead.sorted())
    let liveName = String(live.path.dropFirst(directory.path.utf8.count + 1))
    #expect(
      directory.entries == (others + [liveName, "heliostat-\(user)-2-ff"]).sorted())
    #expect(SharedSegment.removeAbandoned(in: directory.path) == [])
    #expect(SharedSegment.removeAbandoned(in: "/nowhere") == [])
  }

  @Test("A lock of another descriptor keeps a segment, until it is given up")
  func lockOfAnother() {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let name = "heliostat-\(getuid())-1-abc"
    directory.touch(name)
    let descriptor = open("\(directory.path)/\(name)", O_RDWR | O_CLOEXEC)
    #expect(flock(descriptor, LOCK_EX) == 0)
    #expect(SharedSegment.removeAbandoned(in: directory.path) == [])
    // Not by closing alone: a process that another test is just starting has the descriptor too.
    #expect(flock(descriptor, LOCK_UN) == 0)
    close(descriptor)
    #expect(SharedSegment.removeAbandoned(in: directory.path) == [name])
  }

  @Test(
    "A segment whose owner is killed is removed at the next start, and not before",
    .enabled(if: access("/usr/bin/flock", X_OK) == 0, "needs the program flock"))
  func killedOwner() {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let name = "heliostat-\(getuid())-1-abc"
    directory.touch(name)
    // `cat` keeps the lock; its echo tells that it has it.
    let owner = Child(["/usr/bin/flock", "-F", "-x", "\(directory.path)/\(name)", "/bin/cat"])
    #expect(owner.echo() == 1)
    #expect(SharedSegment.removeAbandoned(in: directory.path) == [])
    owner.kill()
    #expect(SharedSegment.removeAbandoned(in: directory.path) == [name])
  }

  @Test("Owners that come while another cleans up lose nothing")
  func cleaningRace() async throws {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let path = directory.path
    let isDone = Atomic<Bool>(false)
    let cleaner = Task.detached {
      while !isDone.load(ordering: .relaxed) { _ = SharedSegment.removeAbandoned(in: path) }
    }
    for _ in 0..<500 {
      let segment = try SharedSegment.create(byteCount: 4096, in: [.directory(path)])
      #expect(access(segment.path, F_OK) == 0)
    }
    isDone.store(true, ordering: .relaxed)
    await cleaner.value
  }

  @Test("When no place has room, the error says what each lacks")
  func noRoom() throws {
    let error = failure { () throws(StoreError) in
      _ = try SharedSegment.create(
        byteCount: 1 << 45, in: [.directory("/dev/shm"), .directory("/nowhere"), .anonymousMemory])
    }
    guard case .noRoomForSegment(let asked, let tried) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(asked == ByteCount(1 << 45))
    #expect(tried.count == 3)
    #expect(tried[0].contains("/dev/shm has"))
    #expect(tried[1] == "/nowhere: No such file or directory")
    #expect(tried[2].hasPrefix("memory has"))
    #expect("\(error!)".contains("--shm-size"))
    for bad in [0, -1, Int.max] {
      #expect(
        failure { () throws(StoreError) in _ = try SharedSegment.create(byteCount: bad) } != nil)
    }
  }

  @Test("A place without room is passed over")
  func fallsBack() throws {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let segment = try SharedSegment.create(
      byteCount: 1 << 20, in: [.directory("/nowhere"), .directory(directory.path)])
    #expect(segment.path.hasPrefix(directory.path))
  }

  @Test("What is no segment is not attached")
  func attachErrors() {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    directory.touch("empty")
    let odd = open("\(directory.path)/odd", O_RDWR | O_CREAT, 0o600)
    ftruncate(odd, 100)
    close(odd)
    func error(_ path: String) -> StoreError? {
      failure { () throws(StoreError) in
        _ = try SharedSegment.attach(path: path, writable: false)
      }
    }
    #expect(error("/nowhere") == .system(call: "open", path: "/nowhere", code: ENOENT))
    for path in ["\(directory.path)/empty", "\(directory.path)/odd", "/dev/null", directory.path] {
      guard case .notASegment(path, _) = error(path) else {
        Issue.record("\(path) was attached")
        continue
      }
    }
  }

  @Test("Memory is touched ahead, reported, and stays after its objects")
  func touchesAhead() throws {
    let segment = try SharedSegment.create(byteCount: 40 << 20)
    let toucher = PageToucher(segment)
    #expect(segment.committedMark == 0)
    toucher.raise(to: 5 << 20)
    toucher.waitUntilIdle()
    #expect(segment.committedMark == 5 << 20)
    toucher.raise(to: 3 << 20)
    let calls = Atomic<Int>(0)
    toucher.raise(to: 100 << 20) { error in
      #expect(error == nil)
      #expect(segment.committedMark == 40 << 20)
      calls.add(1, ordering: .relaxed)
    }
    toucher.waitUntilIdle()
    #expect(calls.load(ordering: .relaxed) == 1)
    #expect(segment.isCommitted(at: 0, count: 40 << 20))
  }

  @Test("A toucher that goes before it is done says so to those who wait")
  func stopsCleanly() throws {
    for _ in 0..<20 {
      let segment = try SharedSegment.create(byteCount: 64 << 20)
      let calls = Atomic<Int>(0)
      do {
        let toucher = PageToucher(segment)
        toucher.raise(to: 64 << 20) { _ in calls.add(1, ordering: .relaxed) }
      }
      #expect(calls.load(ordering: .relaxed) == 1)
    }
  }

  @Test(
    "A full file system is an error for all who want pages, and no signal",
    .enabled(if: SmallFileSystem.isAllowed, "needs the right to mount a tmpfs"))
  func fullFileSystem() throws {
    let small = try #require(SmallFileSystem(byteCount: 8 << 20))
    defer { small.remove() }
    let segment = try SharedSegment.create(
      byteCount: 8 << 20, in: [.directory(small.directory.path)])
    // Somebody else fills the file system after the segment got its size.
    let hog = open("\(small.directory.path)/hog", O_RDWR | O_CREAT, 0o600)
    #expect(posix_fallocate(hog, 0, 4 << 20) == 0)
    defer { close(hog) }

    @Sendable func isFull(_ error: StoreError?) -> Bool {
      if case .sharedMemoryFull(segment.path, _, _) = error { true } else { false }
    }
    let touched = Atomic<Int>(0)
    let toucher = PageToucher(segment)
    toucher.raise(to: 8 << 20) { error in
      if isFull(error) { touched.add(1, ordering: .relaxed) }
    }
    toucher.waitUntilIdle()
    #expect(touched.load(ordering: .relaxed) == 1)
    #expect(segment.committedMark == 4 << 20)

    let bytes = [UInt8](repeating: 9, count: 8 << 20)
    bytes.withUnsafeBytes { source in
      let base = source.baseAddress!
      #expect(
        isFull(
          failure { () throws(StoreError) in
            try segment.write(base, count: 8 << 20, at: 0)
          }))
      let copier = ParallelCopy(threads: 2, threshold: 1 << 20, chunk: 1 << 20)
      #expect(
        isFull(
          failure { () throws(StoreError) in
            try copier.write(base, count: 8 << 20, at: 0, of: segment)
          }))
    }
    #expect(isFull(failure { () throws(StoreError) in try segment.commit(at: 0, count: 8 << 20) }))

    var memory = ObjectMemory(segment: segment, copier: ParallelCopy(threads: 1))
    memory.waitUntilTouched()
    #expect(isFull(failure { () throws(StoreError) in _ = try memory.create(1, count: 6 << 20) }))
    #expect(memory.used == .zero)
    _ = try memory.create(1, count: 4 << 20)
    try memory.abort(1)

    // Room again: what failed is tried again.
    ftruncate(hog, 0)
    _ = try memory.create(2, count: 6 << 20)
    memory.expect(ByteCount(8 << 20))
    memory.waitUntilTouched()
    #expect(segment.committedMark == 8 << 20)
  }
}
