import Glibc
import Primitives
import RealWorld
import Synchronization
import Testing

/// A store of `byteCount` bytes with a spill directory below `parent`.
private func store(
  _ byteCount: Int = 4 << 20, spillingTo parent: String, fileLimit: Int = 64 << 20
) throws -> ObjectMemory {
  let directory = try SpillDirectory(in: parent, fileLimit: fileLimit)
  return ObjectMemory(
    segment: try SharedSegment.create(byteCount: byteCount), spillDirectory: directory,
    copier: ParallelCopy(threads: 1), idleAhead: 0)
}

@Suite struct SpillDirectoryTests {
  @Test("A spilled object leaves memory and comes back as it was")
  func roundTrip() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var memory = try store(spillingTo: scratch.path)
    let bytes = pattern(1, 300_000)
    try memory.put(1, bytes)
    try memory.spill(1)
    #expect(memory.used == .zero)
    #expect(failure { () throws(StoreError) in _ = try memory.get(1) } == .notInMemory(key: 1))
    #expect(failure { () throws(StoreError) in try memory.spill(1) } == .notInMemory(key: 1))
    try memory.restore(1)
    #expect(failure { () throws(StoreError) in try memory.restore(1) } == .notSpilled(key: 1))
    let back = try memory.contents(1)
    #expect(back == bytes)
    #expect(memory.spillUse?.bytes == 0)
  }

  @Test("Many objects share few files, and a file goes with its last object")
  func fewFiles() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var memory = try store(spillingTo: scratch.path, fileLimit: 100_000)
    for key in 0..<40 as Range<UInt64> { try memory.put(key, pattern(key, 10_000)) }
    for key in 0..<40 as Range<UInt64> { try memory.spill(key) }
    #expect(memory.spillUse?.count == 4)
    for key in 0..<10 as Range<UInt64> { try memory.delete(key) }
    #expect(memory.spillUse?.count == 3)
    for key in 10..<39 as Range<UInt64> { try memory.restore(key) }
    // The last object keeps the last file, whose space is not yet back.
    #expect(memory.spillUse?.count == 1)
    #expect(memory.spillUse?.bytes == 100_000)
    for key in 10..<39 as Range<UInt64> {
      let back = try memory.contents(key)
      #expect(back == pattern(key, 10_000))
    }
    // One that is larger than a file has one for itself.
    try memory.put(100, pattern(100, 500_000))
    try memory.spill(100)
    #expect(memory.spillUse?.count == 2)
    try memory.delete(39)
    try memory.delete(100)
    #expect(memory.spillUse?.bytes == 0)
  }

  @Test("The directory goes with its owner; those of dead owners go at the next start")
  func removal() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    let user = getuid()
    let dead = ["heliostat_spill-\(user)-1-abc", "heliostat_spill-\(user)-1-abd"]
    let kept = ["heliostat_spill-\(user)-1-abe", "heliostat-\(user)-1-abc"]
    for name in dead + kept { mkdir("\(scratch.path)/\(name)", 0o700) }
    scratch.touch("\(dead[0])/owner.lock")
    scratch.touch("\(dead[0])/3.spill")
    // Not ours: whoever put it there keeps it.
    scratch.touch("\(kept[0])/precious")
    do {
      var memory = try store(spillingTo: scratch.path)
      try memory.put(1, pattern(1, 1000))
      try memory.spill(1)
      #expect(SpillDirectory.removeAbandoned(in: scratch.path) == dead)
      #expect(scratch.entries.count == 3)
      try memory.restore(1)
      let back = try memory.contents(1)
      #expect(back == pattern(1, 1000))
    }
    #expect(scratch.entries == kept.sorted())
  }

  @Test(
    "On a full disk the object stays in memory, and room later helps",
    .enabled(if: SmallFileSystem.isAllowed, "needs the right to mount a tmpfs"))
  func fullDisk() throws {
    let small = try #require(SmallFileSystem(byteCount: 1 << 20))
    defer { small.remove() }
    var memory = try store(spillingTo: small.directory.path)
    try memory.put(1, pattern(1, 600_000))
    try memory.put(2, pattern(2, 600_000))
    try memory.spill(1)
    let error = failure { () throws(StoreError) in try memory.spill(2) }
    guard case .diskFull(_, ByteCount(600_000), _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    let back = try memory.contents(2)
    #expect(back == pattern(2, 600_000))
    try memory.delete(1)
    try memory.spill(2)
    memory.checkInvariants(keys: [1, 2])
  }

  @Test("A spill file that somebody cut short is an error, and the object stays on disk")
  func truncatedFile() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var memory = try store(spillingTo: scratch.path)
    try memory.put(1, pattern(1, 5000))
    try memory.spill(1)
    let directory = "\(scratch.path)/\(scratch.entries[0])"
    let file = "\(directory)/\(listing(directory).first { $0.hasSuffix(".spill") }!)"
    #expect(truncate(file, 100) == 0)
    let error = failure { () throws(StoreError) in try memory.restore(1) }
    #expect(error == .truncated(path: file))
    #expect(memory.used == .zero)
    try memory.delete(1)
  }

  @Test("Without a spill directory nothing is spilled; one that cannot be made is an error")
  func noDirectory() throws {
    var memory = ObjectMemory(
      segment: try SharedSegment.create(byteCount: 1 << 20), copier: ParallelCopy(threads: 1))
    try memory.put(1, [1])
    #expect(failure { () throws(StoreError) in try memory.spill(1) } == .noSpillDirectory)
    let back = try memory.contents(1)
    #expect(back == [1])
    let error = failure { () throws(StoreError) in _ = try SpillDirectory(in: "/nowhere") }
    guard case .system("mkdir", _, ENOENT) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("The space of a large file returns to the disk, through the worker too")
  func givesSpaceBack() throws {
    for hasWorker in [false, true] {
      let scratch = ScratchDirectory()
      defer { scratch.remove() }
      do {
        let worker = hasWorker ? try SpillWorker() : nil
        var memory = ObjectMemory(
          segment: try SharedSegment.create(byteCount: 4 << 20),
          spillDirectory: try SpillDirectory(in: scratch.path), worker: worker,
          copier: ParallelCopy(threads: 1), idleAhead: 0)
        for key in [1, 2] as [UInt64] {
          try memory.put(key, pattern(key, 1 << 20))
          try memory.spill(key)
          #expect(memory.spillUse?.bytes == 1 << 20)
          try memory.restore(key)
          #expect(memory.spillUse?.count == 0)
          let files = listing("\(scratch.path)/\(scratch.entries[0])")
          #expect(files == ["owner.lock"])
          let back = try memory.contents(key)
          #expect(back == pattern(key, 1 << 20))
        }
      }
      #expect(scratch.entries == [])
    }
  }

  @Test("While an object is written it can be read, pinned and deleted")
  func whileSpilling() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var memory = try store(spillingTo: scratch.path)
    for key in 1...3 as ClosedRange<UInt64> { try memory.put(key, pattern(key, 1000)) }
    let jobs = try (1...3 as ClosedRange<UInt64>).map { try memory.spillJob($0) }
    #expect(failure { () throws(StoreError) in _ = try memory.spillJob(1) } == .busy(key: 1))
    _ = try memory.get(1)
    let isGone = try memory.delete(2)
    #expect(!isGone)
    _ = try memory.get(3)
    try memory.delete(3)
    let results = jobs.map { memory.finish($0.run()) }
    #expect(results == [.keptPinned, .deleted, .deleted])
    #expect(memory.count == 2)
    try memory.release(3)
    try memory.release(1)
    #expect(memory.count == 1)
    #expect(memory.spillUse?.bytes == 0)
    memory.checkInvariants(keys: [1, 2, 3])
  }

  @Test("While an object is read back it can be deleted")
  func whileRestoring() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var memory = try store(spillingTo: scratch.path)
    try memory.put(1, pattern(1, 1000))
    try memory.spill(1)
    let job = try memory.restoreJob(1)
    #expect(failure { () throws(StoreError) in _ = try memory.get(1) } == .busy(key: 1))
    let isGone = try memory.delete(1)
    #expect(!isGone)
    let result = memory.finish(job.run())
    #expect(result == .deleted)
    #expect(memory.count == 0)
    #expect(memory.used == .zero)
    #expect(memory.spillUse?.bytes == 0)
  }

  @Test("The worker runs jobs in their order and finishes those it has before it goes")
  func worker() throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var memory = try store(spillingTo: scratch.path)
    let keys = 0..<50 as Range<UInt64>
    for key in keys { try memory.put(key, pattern(key, 5000)) }
    for direction in [SpillJob.Direction.spill, .restore] {
      let done = Mutex<[SpillOutcome]>([])
      do {
        let worker = try SpillWorker()
        for key in keys {
          let job =
            try direction == .spill ? memory.spillJob(key) : memory.restoreJob(key)
          worker.submit(job) { outcome in done.withLock { $0.append(outcome) } }
        }
      }
      let outcomes = done.withLock { $0 }
      #expect(outcomes.map(\.job.key) == Array(keys))
      for outcome in outcomes {
        let result = memory.finish(outcome)
        #expect(result == (direction == .spill ? .spilled : .restored))
      }
    }
    for key in keys {
      let back = try memory.contents(key)
      #expect(back == pattern(key, 5000))
    }
  }
}
