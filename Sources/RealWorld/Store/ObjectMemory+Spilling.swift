import Primitives

extension ObjectMemory {
  /// What a finished job has changed.
  public enum Finished: Equatable, Sendable {
    /// On disk; its memory is free.
    case spilled
    /// In memory; its disk space is free.
    case restored
    /// Somebody pinned the object while it was being written: it stays in memory.
    case keptPinned
    /// Deleted meanwhile, or, while pinned, going with its last pin.
    case deleted
    /// Where it was before.
    case failed(StoreError)
  }

  /// Files in the spill directory and their bytes, those of deleted objects included.
  public var spillUse: (count: Int, bytes: Int)? {
    switch spillDirectory {
    case .some(let directory): (directory.fileCount, directory.byteCount)
    case .none: nil
    }
  }

  /// Starts to move an unpinned object to disk; it stays readable until `finish`.
  /// - Throws: `unknown`, `notSealed`, `pinned`, `notInMemory`, `busy`, `noSpillDirectory`,
  ///   `system`.
  public mutating func spillJob(_ key: UInt64) throws(StoreError) -> SpillJob {
    let entry = try find(key)
    if entry.pointee.isDeleted { throw .unknown(key: key) }
    switch entry.pointee.state {
    case .vacant, .unsealed: throw .notSealed(key: key)
    case .spilled: throw .notInMemory(key: key)
    case .spilling, .restoring: throw .busy(key: key)
    case .sealed: break
    }
    if entry.pointee.pins > 0 { throw .pinned(key: key, pins: entry.pointee.pins) }
    if spillDirectory == nil { throw .noSpillDirectory }
    let location = try spillDirectory!.allocate(entry.pointee.count)
    entry.pointee.state = .spilling
    return SpillJob(
      key: key, direction: .spill, segment: segment, offset: entry.pointee.offset,
      block: entry.pointee.place, count: entry.pointee.count,
      file: spillDirectory!.file(location), location: location)
  }

  /// Starts to bring an object back, into memory that is taken from now on.
  /// - Throws: `unknown`, `notSealed`, `notSpilled`, `busy`, `doesNotFit`.
  public mutating func restoreJob(_ key: UInt64) throws(StoreError) -> SpillJob {
    let entry = try find(key)
    switch entry.pointee.state {
    case .vacant, .unsealed: throw .notSealed(key: key)
    case .sealed, .spilling:
      if entry.pointee.isDeleted { throw .unknown(key: key) }
      throw .notSpilled(key: key)
    case .restoring: throw .busy(key: key)
    case .spilled: break
    }
    // The job commits, away from the loop.
    let allocation = try allocate(entry.pointee.count, commit: false)
    entry.pointee.state = .restoring
    return SpillJob(
      key: key, direction: .restore, segment: segment, offset: allocation.offset,
      block: allocation.block, count: entry.pointee.count,
      file: spillDirectory!.file(entry.pointee.location), location: entry.pointee.location)
  }

  /// Takes over what a job of this store has done; once per job.
  @discardableResult
  public mutating func finish(_ outcome: SpillOutcome) -> Finished {
    let job = outcome.job
    guard let entry = entries.pointer(job.key) else {
      preconditionFailure("the job of object \(job.key) was finished twice")
    }
    switch job.direction {
    case .spill: return finishSpill(job, entry, outcome.error)
    case .restore: return finishRestore(job, entry, outcome.error)
    }
  }

  private mutating func finishSpill(
    _ job: SpillJob, _ entry: UnsafeMutablePointer<Entry>, _ error: StoreError?
  ) -> Finished {
    precondition(entry.pointee.state == .spilling, "the spill of \(job.key) was finished twice")
    entry.pointee.state = .sealed
    let stays = entry.pointee.isDeleted || entry.pointee.pins > 0 || error != nil
    if stays { freeDisk(job.location) }
    if entry.pointee.isDeleted {
      if entry.pointee.pins == 0 { remove(job.key, entry.pointee) }
      return .deleted
    }
    if let error { return .failed(error) }
    if stays { return .keptPinned }
    freeMemory(entry.pointee)
    entry.pointee.state = .spilled
    entry.pointee.isInRegion = false
    entry.pointee.place = job.location.file
    entry.pointee.offset = job.location.offset
    return .spilled
  }

  private mutating func finishRestore(
    _ job: SpillJob, _ entry: UnsafeMutablePointer<Entry>, _ error: StoreError?
  ) -> Finished {
    precondition(
      entry.pointee.state == .restoring, "the restoring of \(job.key) was finished twice")
    entry.pointee.state = .spilled
    if entry.pointee.isDeleted || error != nil { allocator.free(job.block) }
    if entry.pointee.isDeleted {
      remove(job.key, entry.pointee)
      return .deleted
    }
    if let error { return .failed(error) }
    freeDisk(job.location)
    entry.pointee.state = .sealed
    entry.pointee.place = job.block
    entry.pointee.offset = job.offset
    return .restored
  }

  mutating func freeDisk(_ location: SpillLocation) {
    guard let file = spillDirectory!.free(location) else { return }
    if let worker { worker.end(file) } else { file.end() }
  }

  /// Moves an unpinned object to disk and frees its memory; blocks until it is written.
  /// - Throws: as `spillJob`, and `diskFull`: the object stays in memory.
  public mutating func spill(_ key: UInt64) throws(StoreError) {
    if case .failed(let error) = finish(try spillJob(key).run()) { throw error }
  }

  /// Brings an object back into memory and frees its disk space; blocks until it is read.
  /// - Throws: as `restoreJob`, and `sharedMemoryFull`, `truncated`, `system`: it stays on disk.
  public mutating func restore(_ key: UInt64) throws(StoreError) {
    if case .failed(let error) = finish(try restoreJob(key).run()) { throw error }
  }

  /// Every byte in use belongs to a live object or region; slow, for tests. The table cannot be
  /// iterated, so the caller names the keys it knows.
  public func checkInvariants(keys: [UInt64]) {
    allocator.checkInvariants()
    var lines = 0
    var adopted = 0
    for key in keys {
      guard let entry = entries[key] else { continue }
      precondition(entry.state != .vacant, "object \(key) was left vacant")
      switch entry.state {
      case _ where entry.isInRegion: adopted += 1
      case .spilled: break
      // Its block is known to the job alone.
      case .restoring: lines += max(1, (entry.count + 63) / 64) * 64
      default: lines += allocator.byteCount(of: entry.place)
      }
    }
    var live = 0
    for slot in 0..<UInt32(regions.slotCount) where regions[slot].serial != 0 {
      live += regions[slot].live
      lines += allocator.byteCount(of: regions[slot].block)
    }
    precondition(live == adopted, "\(live) objects counted in regions, \(adopted) found")
    precondition(lines == allocator.used, "\(lines) bytes of objects, \(allocator.used) in use")
  }
}
