import Foundation
import Primitives
import Testing

@Suite("time, bytes, resources and identities")
struct QuantityTests {
  @Test("demands ask for no more alignment than an async frame has, and keep their form")
  func resourceAlignment() throws {
    #expect(MemoryLayout<ResourceVector>.alignment <= 16)
    var vector = ResourceVector(cpus: 3, gpus: 2)
    vector.lanes[7] = -5
    #expect(vector.amount(0) == 3 && vector.amount(1) == 2 && vector.lanes[7] == -5)
    let encoded = try JSONEncoder().encode(vector)
    #expect(String(decoding: encoded, as: UTF8.self) == #"{"lanes":[30000,20000,0,0,0,0,0,-5]}"#)
    #expect(try JSONDecoder().decode(ResourceVector.self, from: encoded) == vector)
  }

  @Test("time saturates at its end and never goes below zero")
  func time() {
    #expect(TimeSpan(nanoseconds: .max) + .seconds(1) == TimeSpan(nanoseconds: .max))
    #expect(Instant.never + .seconds(1) == .never)
    #expect(Instant.zero.since(Instant(nanoseconds: 5)) == .zero)
    #expect(TimeSpan.seconds(3) * UInt64.max == TimeSpan(nanoseconds: .max))
    #expect(TimeSpan(seconds: -1) == .zero && TimeSpan(seconds: .nan) == .zero)
    #expect(TimeSpan(seconds: 1e300).nanoseconds == 1 << 63)
    #expect(TimeSpan(seconds: 1.5e-9).nanoseconds == 2)
  }

  @Test(
    "spans and sizes print in their own units",
    arguments: [
      (TimeSpan.nanoseconds(350), "350ns"), (.nanoseconds(57_500), "57.5us"),
      (.microseconds(12_300), "12.3ms"), (.milliseconds(1500), "1.5s"), (.zero, "0ns"),
      (.seconds(90), "90s"),
    ])
  func spans(span: TimeSpan, text: String) { #expect(span.description == text) }

  @Test(
    "a transfer's time is rounded up",
    arguments: [
      (UInt64(0), 1e9, UInt64(0)), (1, 1e9, 1), (1, 3e9, 1), (10, 3e9, 4),
      (1_000, 1e3, 1_000_000_000),
      (5, .infinity, 0),
    ])
  func bandwidth(bytes: UInt64, rate: Double, nanoseconds: UInt64) {
    let time = Bandwidth(bytesPerSecond: rate).time(for: ByteCount(bytes))
    #expect(time.nanoseconds == nanoseconds)
  }

  @Test("a demand fits only where every kind is covered")
  func fits() {
    let node = ResourceVector(cpus: 4, gpus: 1)
    #expect(ResourceVector(cpus: 4, gpus: 1).fits(in: node))
    #expect(!ResourceVector(cpus: 5).fits(in: node))
    #expect(!ResourceVector(cpus: 1, gpus: 2).fits(in: node))
    #expect(ResourceVector.zero.fits(in: .zero))
    let full = ResourceVector(lanes: SIMD8(repeating: 10))
    for lane in 0..<ResourceVector.kindCount {
      var demand = full
      #expect(demand.fits(in: full))
      demand.lanes[lane] = 11
      #expect(!demand.fits(in: full), "kind \(lane) is short")
      var overdrawn = ResourceVector.zero
      overdrawn.lanes[lane] = -1
      #expect(!ResourceVector.zero.fits(in: overdrawn), "kind \(lane) is overdrawn")
    }
    #expect(node - ResourceVector(cpus: 5) + ResourceVector(cpus: 5) == node)
    #expect(ResourceVector(cpus: 3, gpus: 2).cpuOnly == ResourceVector(cpus: 3))
    #expect(ResourceVector.units(0.3333) == 3333)
  }

  @Test("kinds of resources get lanes in order until all are taken")
  func names() {
    var names = ResourceNames()
    #expect(names.lane(of: "GPU") == 1)
    for i in 2..<8 { #expect(names.lane(of: "kind\(i)") == i) }
    #expect(names.lane(of: "one more") == nil && names.lane(of: "kind5") == 5)
    #expect(names.knownLane(of: "unknown") == nil)
    var vector = ResourceVector(cpus: 2)
    vector.lanes[1] = 5_000
    #expect(names.describe(vector) == "{CPU: 2, GPU: 0.5}")
  }

  @Test("identities are the same every time, and differ by driver, seed and counter")
  func identities() {
    var seen: Set<TaskID> = []
    for seed in UInt64(0)..<5 {
      for driver in 0..<5 {
        let root = TaskID.root(driver: driver, seed: seed)
        #expect(root == TaskID.root(driver: driver, seed: seed))
        #expect(seen.insert(root).inserted)
        for child in UInt64(0)..<50 {
          #expect(root.child(child) == root.child(child))
          #expect(seen.insert(root.child(child)).inserted)
          #expect(seen.insert(root.child(child).child(child)).inserted)
        }
      }
    }
    // A run recorded by one version must be replayed by the next.
    #expect(TaskID.root(driver: 0, seed: 1).child(1).description == "f5cf4667aa10fcfc")
  }

  @Test("keys spread evenly over any number of shards")
  func shards() {
    for count in [UInt32(1), 2, 3, 7, 64] {
      var hits = Array(repeating: 0, count: Int(count))
      let root = TaskID.root(driver: 0, seed: 3)
      for child in UInt64(0)..<6400 { hits[Int(root.child(child).shard(of: count))] += 1 }
      let expected = 6400 / Double(count)
      // Five standard deviations of a binomial.
      for hit in hits {
        #expect(abs(Double(hit) - expected) <= 5 * expected.squareRoot() + 0.5)
      }
    }
  }

  @Test("an object's handle is its key and back")
  func keys() {
    for producer: UInt32 in [0, 1, 77, UInt32.max - 1] {
      for index: Int32 in [0, 1, -1, Int32.max, Int32.min] {
        let handle = ObjectHandle(producer: TaskHandle(producer), index: index)
        #expect(ObjectHandle(key: handle.key) == handle)
      }
    }
  }
}
