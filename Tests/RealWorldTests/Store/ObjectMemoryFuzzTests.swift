import Primitives
import RealWorld
import Testing

/// Random verbs on few keys against an obvious model: same errors, same contents, same pins.
@Suite struct ObjectMemoryFuzzTests {
  enum State { case unsealed, sealed, spilling, spilled, restoring }

  struct Model {
    var seed: UInt64
    var size: Int
    var state = State.unsealed
    var pins: UInt32 = 0
    var isDeleted = false
    var isLive: Bool { state == .sealed || state == .spilling }
  }

  struct Lease {
    var lease: ObjectMemory.Lease
    var filled = 0
  }

  @Test("Random verbs, regions and jobs in flight agree with a model", arguments: 0..<8)
  func agrees(seed: Int) throws {
    let scratch = ScratchDirectory()
    defer { scratch.remove() }
    var random = RandomStream(seed: UInt64(seed), stream: 7)
    let directory = try SpillDirectory(in: scratch.path, fileLimit: 20_000)
    var memory = ObjectMemory(
      segment: try SharedSegment.create(byteCount: 128 << 10), spillDirectory: directory,
      copier: ParallelCopy(threads: 1), idleAhead: 0)
    var model: [UInt64: Model] = [:]
    var jobs: [SpillJob] = []
    var leases: [Lease] = []
    let keys = Array(0..<24 as Range<UInt64>)

    func write(_ offset: Int, _ object: Model, _ memory: borrowing ObjectMemory) {
      memory.segment.bytes(at: offset, count: object.size)
        .copyBytes(from: pattern(object.seed, object.size))
    }

    for step in 0..<4000 as Range<UInt64> {
      let key = keys[Int(random.below(UInt64(keys.count)))]
      let old = model[key]
      var expected: StoreError?
      var actual: StoreError?
      switch random.below(13) {
      case 0, 1:
        let object = Model(seed: step, size: Int(random.below(9000)))
        if old != nil { expected = .alreadyExists(key: key) }
        do throws(StoreError) {
          write(try memory.create(key, count: object.size).offset, object, memory)
          model[key] = object
        } catch {
          actual = error
          if case .doesNotFit(let asked, _, let hole, _) = error, old == nil {
            #expect(asked.bytes > hole.bytes)
            actual = nil
          }
        }
      case 2, 3:
        if old == nil {
          expected = .unknown(key: key)
        } else if old?.state != .unsealed {
          expected = .alreadySealed(key: key)
        } else {
          model[key]?.state = .sealed
        }
        actual = failure { () throws(StoreError) in try memory.seal(key) }
      case 4:
        if old == nil {
          expected = .unknown(key: key)
        } else if old?.state != .unsealed {
          expected = .alreadySealed(key: key)
        } else {
          model[key] = nil
        }
        actual = failure { () throws(StoreError) in try memory.abort(key) }
      case 5:
        if let old {
          switch old.state {
          case .unsealed: expected = .notSealed(key: key)
          case .spilled: expected = .notInMemory(key: key)
          case .restoring: expected = .busy(key: key)
          case .sealed, .spilling: expected = old.isDeleted ? .unknown(key: key) : nil
          }
        } else {
          expected = .unknown(key: key)
        }
        do throws(StoreError) {
          let extent = try memory.get(key)
          model[key]?.pins += 1
          let bytes = Array(memory.segment.bytes(at: extent.offset, count: extent.count))
          #expect(bytes == pattern(old!.seed, old!.size))
        } catch {
          actual = error
        }
      case 6, 7:
        if let old, old.pins > 0 {
          model[key]?.pins -= 1
          if old.pins == 1 && old.isDeleted && old.state == .sealed { model[key] = nil }
        } else {
          expected = .unknown(key: key)
        }
        actual = failure { () throws(StoreError) in try memory.release(key) }
      case 8:
        var isGone = false
        if let old, !old.isDeleted {
          if old.state == .unsealed {
            expected = .notSealed(key: key)
          } else {
            isGone = old.state == .spilled || old.state == .sealed && old.pins == 0
            if isGone { model[key] = nil } else { model[key]?.isDeleted = true }
          }
        } else {
          expected = .unknown(key: key)
        }
        do throws(StoreError) {
          let wasGone = try memory.delete(key)
          #expect(wasGone == isGone)
        } catch {
          actual = error
        }
      case 9:
        if let old, !(old.isDeleted && old.state != .restoring) {
          switch old.state {
          case .unsealed: expected = .notSealed(key: key)
          case .spilled: expected = .notInMemory(key: key)
          case .spilling: expected = .busy(key: key)
          case .restoring: expected = old.isDeleted ? .unknown(key: key) : .busy(key: key)
          case .sealed: expected = old.pins > 0 ? .pinned(key: key, pins: old.pins) : nil
          }
        } else {
          expected = .unknown(key: key)
        }
        do throws(StoreError) {
          jobs.append(try memory.spillJob(key))
          model[key]?.state = .spilling
        } catch {
          actual = error
        }
      case 10:
        if let old {
          switch old.state {
          case .unsealed: expected = .notSealed(key: key)
          case .spilled: break
          case .restoring: expected = .busy(key: key)
          case .sealed, .spilling:
            expected = old.isDeleted ? .unknown(key: key) : .notSpilled(key: key)
          }
        } else {
          expected = .unknown(key: key)
        }
        do throws(StoreError) {
          jobs.append(try memory.restoreJob(key))
          model[key]?.state = .restoring
        } catch {
          actual = error
          if case .doesNotFit = error { actual = nil }
        }
      case 11:
        guard !jobs.isEmpty else { break }
        let job = jobs.remove(at: Int(random.below(UInt64(jobs.count))))
        let object = model[job.key]!
        let result = memory.finish(job.run())
        if job.direction == .spill {
          model[job.key]?.state = object.pins > 0 || object.isDeleted ? .sealed : .spilled
          #expect(
            result == (object.isDeleted ? .deleted : object.pins > 0 ? .keptPinned : .spilled))
          if object.isDeleted && object.pins == 0 { model[job.key] = nil }
        } else {
          model[job.key]?.state = .sealed
          #expect(result == (object.isDeleted ? .deleted : .restored))
          if object.isDeleted { model[job.key] = nil }
        }
      default:
        // A client with a region: leases, puts, leaves.
        let object = Model(seed: step, size: Int(random.below(1500)), state: .sealed)
        if leases.isEmpty || random.below(8) == 0 {
          if let lease = try? memory.createRegion(count: 8000) {
            leases.append(Lease(lease: lease))
          }
        } else {
          let i = Int(random.below(UInt64(leases.count)))
          let lease = leases[i].lease
          if leases[i].filled + object.size > 8000 || random.below(16) == 0 {
            try memory.closeRegion(lease.id)
            leases.remove(at: i)
          } else {
            let offset = lease.extent.offset + leases[i].filled
            if old != nil { expected = .alreadyExists(key: key) }
            write(offset, object, memory)
            do throws(StoreError) {
              try memory.adopt(key, in: lease.id, offset: offset, count: object.size)
              model[key] = object
              leases[i].filled += object.size
            } catch {
              actual = error
            }
          }
        }
      }
      #expect(actual == expected, "step \(step) of seed \(seed)")
      #expect(memory.count == model.count)
      #expect(memory.isInMemory(key) == (model[key].map { $0.isLive && !$0.isDeleted } ?? false))
      if step % 32 == 0 { memory.checkInvariants(keys: keys) }
    }

    // Whatever is left goes, and with it all memory and disk space.
    for job in jobs { memory.finish(job.run()) }
    for lease in leases { try memory.closeRegion(lease.lease.id) }
    for key in keys {
      _ = failure { () throws(StoreError) in try memory.abort(key) }
      _ = failure { () throws(StoreError) in try memory.delete(key) }
      while failure({ () throws(StoreError) in try memory.release(key) }) == nil {}
    }
    #expect(memory.count == 0)
    #expect(memory.used == .zero)
    #expect(memory.regionCount == 0)
    #expect(memory.spillUse?.bytes == 0)
    memory.checkInvariants(keys: keys)
  }
}
