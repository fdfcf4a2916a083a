import Primitives
import RuntimeCore

/// Chunks that a thread of its own writes into place: their memory outlives their arrival.
struct Landings {
  /// Memory whose arrival has ended while somebody still wrote there.
  struct Left {
    var key: UInt64
    var writers: Int
    /// The object is whole: others wrote the same bytes.
    var isSealed: Bool
  }

  /// By the arrival's serial number.
  var left: [UInt64: Left] = [:]
}

extension NodeCore {
  /// From now on until `leave` somebody writes the bytes of a chunk. Nil when they are not wanted any
  /// more.
  mutating func hold(_ landing: Landing) -> LandingPlace? {
    let key = landing.object.key
    guard let arrival = arrivals[key], arrival.serial == landing.serial,
      let value = arrival.value, value.form == .segment, let address = value.address
    else { return nil }
    arrivals[key]?.writers += 1
    let start = UnsafeRawPointer(address) - UnsafeRawPointer(memory.segment.base)
    return LandingPlace(segment: memory.segment, offset: start + landing.offset)
  }

  /// Nobody writes the chunk any more, whether it is whole or not.
  mutating func leave(_ landing: Landing) {
    if arrivals[landing.object.key]?.serial == landing.serial {
      arrivals[landing.object.key]?.writers -= 1
      return
    }
    guard var left = landings.left[landing.serial] else { return }
    left.writers -= 1
    landings.left[landing.serial] = left.writers > 0 ? left : nil
    if left.writers > 0 { return }
    if left.isSealed { try? memory.release(left.key) } else { try? memory.abort(left.key) }
    if !disk.wishes.isEmpty { disk.isDirty = true }
  }

  /// An arrival has ended, and the memory at `key` with it or not: it stays while somebody writes
  /// there. True when there is such a writer.
  mutating func keepForWriters(_ arrival: Arrival, _ key: UInt64, isSealed: Bool) -> Bool {
    if arrival.writers == 0 { return false }
    if isSealed, (try? memory.get(key)) == nil { return false }
    landings.left[arrival.serial] = Landings.Left(
      key: key, writers: arrival.writers, isSealed: isSealed)
    return true
  }

  /// The memory that was promised for an object on its way here cannot be had.
  mutating func failArrival(_ landing: Landing) {
    guard let arrival = arrivals[landing.object.key], arrival.serial == landing.serial else {
      return
    }
    endArrival(landing.object)
    tellArrival(landing.object, .zero, .storeFull, from: arrival.from)
  }

  // MARK: Sending

  /// Keeps the bytes of a value in place until `unpin`; nil where they cannot be kept.
  mutating func pinForSending(_ value: StoredValue) -> UInt64? {
    guard value.form == .segment, (try? memory.get(value.key)) != nil else { return nil }
    sendingPins += 1
    return value.key
  }

  mutating func unpin(_ key: UInt64) {
    sendingPins -= 1
    try? memory.release(key)
    // What was deleted meanwhile has gone now.
    if !disk.wishes.isEmpty { disk.isDirty = true }
  }
}
