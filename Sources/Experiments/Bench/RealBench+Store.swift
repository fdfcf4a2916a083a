import Glibc
import Heliostat
import Measurement
import Primitives
import RealWorld

/// Memory with a pattern, to be put into stores.
final class BenchMemory: Sendable {
  nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer

  init(_ count: Int) {
    memory = .allocate(byteCount: count, alignment: 4096)
    memory.initializeMemory(as: UInt8.self, repeating: 0x5A)
  }

  deinit { memory.deallocate() }

  /// A view, which keeps the memory.
  var bytes: Bytes {
    Bytes(viewing: UnsafeBufferPointer(memory.bindMemory(to: UInt8.self)), owner: self)
  }
  var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

  /// - Throws: `BenchError` when `bytes` are not these.
  func check(_ bytes: Bytes) throws {
    guard bytes.count == memory.count, bytes.first == 0x5A, bytes.last == 0x5A,
      bytes[bytes.count / 2] == 0x5A
    else { throw BenchError("a stored object came back with other bytes") }
  }
}

extension RealBench {
  /// Threads that copy one large object: see `ParallelCopy`.
  private static var copyThreads: Int { min(4, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  func store(_ report: Report) async throws {
    try await smallPuts(report)
    let source = BenchMemory(scaled(Self.largeObject, least: 4 << 20))
    let meaning = "memcpy into touched shared memory by \(Self.copyThreads) threads"
    try await freshPuts(source, report)
    let remote = try await withNodes([BenchNode.Options(store: 2 * source.raw.count)]) { nodes in
      try await connected(to: nodes[0], BenchFunctions()) { try await warmPuts(source, $0) }
    }
    report(
      BenchmarkResult(
        name: "store.put_1gb_ipc", value: remote["put"] ?? .nan, unit: "B/s",
        limit: remote["copy"] ?? .nan,
        limitMeaning: meaning))
    let warm = try await inProcess(BenchFunctions(), store: 2 * source.raw.count) {
      try await warmPuts(source, $0)
    }
    report(
      BenchmarkResult(
        name: "store.put_1gb", value: warm["put"] ?? .nan, unit: "B/s",
        limit: warm["copy"] ?? .nan,
        limitMeaning: meaning))
    report(
      BenchmarkResult(
        name: "store.get_1gb", value: warm["get"] ?? .nan, unit: "s", limit: warm["small get"],
        limitMeaning: "get of 1 kB"))
    let transfer = try await transfers(source)
    report(
      BenchmarkResult(
        name: "store.transfer_1gb", value: transfer.rate, unit: "B/s",
        limit: try await median { try RawLimits.socketStream(bytes: source.raw.count) },
        limitMeaning: "one raw TCP stream on loopback"))
    for percentile in [50.0, 99] {
      report(
        BenchmarkResult(
          name: "store.transfer_latency_p\(Int(percentile))",
          value: transfer.during.percentile(percentile).seconds, unit: "s",
          limit: transfer.without.percentile(percentile).seconds,
          limitMeaning: "the same without a transfer"))
    }
  }

  // MARK: Small objects

  private func smallPuts(_ report: Report) async throws {
    let functions = BenchFunctions()
    let count = scaled(500_000, least: 200)
    @Sendable func measure(_ ray: Session) async throws -> Double {
      let value = Bytes(repeatElement(7, count: Self.smallObject))
      func puts(_ count: Int) async throws -> Double {
        var refs: [ObjectRef<Bytes>] = []
        refs.reserveCapacity(Self.batch)
        let start = MonotonicClock.nanoseconds
        var left = count
        while left > 0 {
          let size = min(Self.batch, left)
          left -= size
          for _ in 0..<size { refs.append(try await ray.put(value)) }
          // The node has stored them all before it answers for the last.
          if let last = refs.last, try await ray.get(last).count != value.count {
            throw BenchError("a stored object came back with another size")
          }
          ray.free(refs)
          refs.removeAll(keepingCapacity: true)
        }
        return Double(count) / Self.seconds(since: start)
      }
      _ = try await puts(min(count, 20_000))
      return try await median { try await puts(count) }
    }
    let local = try await inProcess(functions, measure)
    report(
      BenchmarkResult(
        name: "store.put_1kb", value: local, unit: "objects/s",
        limit: await median {
          RawLimits.allocationRate(
            objects: scaled(2_000_000, least: 1000), count: Self.smallObject)
        }, limitMeaning: "malloc and memcpy of 1 kB"))
    let remote = try await withNodes([BenchNode.Options()]) { nodes in
      try await connected(to: nodes[0], functions, measure)
    }
    report(
      BenchmarkResult(
        name: "store.put_1kb_ipc", value: remote, unit: "objects/s",
        limit: try await frameLimit(length: Self.smallObject + 48),
        limitMeaning: "frames of 1 kB one way over NIO"))
  }

  // MARK: Large objects

  /// The first put into a store that has just started. The raw limit is measured right before each:
  /// the host of a virtual machine may take free memory back, and then both are slow.
  private func freshPuts(_ source: BenchMemory, _ report: Report) async throws {
    typealias Sample = () async throws -> Double
    let threads = Self.copyThreads
    func measure(
      _ name: String, limit: Sample, meaning: String, put: Sample
    ) async throws {
      let figures = try await medians { ["limit": try await limit(), "put": try await put()] }
      report(
        BenchmarkResult(
          name: name, value: figures["put"] ?? .nan, unit: "B/s", limit: figures["limit"] ?? .nan,
          limitMeaning: meaning))
    }
    try await measure(
      "store.put_fresh_1gb",
      limit: { try RawLimits.freshCopyRate(source.raw, threads: threads) },
      meaning: "memcpy into fresh memory by \(threads) threads",
      put: { try await freshPut(source) })
    for (name, pause) in [
      ("store.put_fresh_1gb_ipc", TimeSpan.seconds(1)), ("store.put_fresh_1gb_ipc_at_once", .zero),
    ] {
      try await measure(
        name, limit: { try RawLimits.freshFileRate(source.raw, threads: threads) },
        meaning: "writing to a fresh file in memory by \(threads) threads",
        put: { try await freshRemotePut(source, after: pause) })
    }
  }

  /// By the first call of a program in the node's process.
  private func freshPut(_ source: BenchMemory) async throws -> Double {
    try await inProcess(BenchFunctions(), store: 2 * source.raw.count) { ray in
      let start = MonotonicClock.nanoseconds
      _ = try await ray.put(source.bytes)
      return Double(source.raw.count) / Self.seconds(since: start)
    }
  }

  /// Into the store of a node that is a process of its own, so long after the program has connected:
  /// the node starts to make pages ahead when a program connects.
  private func freshRemotePut(
    _ source: BenchMemory, after pause: TimeSpan
  ) async throws -> Double {
    try await withNodes([BenchNode.Options(store: 2 * source.raw.count)]) { nodes in
      try await connected(to: nodes[0], BenchFunctions()) { ray in
        if pause > .zero { await ray.sleep(pause) }
        let start = MonotonicClock.nanoseconds
        _ = try await ray.put(source.bytes)
        return Double(source.raw.count) / Self.seconds(since: start)
      }
    }
  }

  /// Puts into memory that has been used before.
  private func warmPuts(
    _ source: BenchMemory, _ ray: Session
  ) async throws -> [String: Double] {
    let touched = try RawLimits.TouchedMemory(source.raw.count)
    func put() async throws -> [String: Double] {
      // Right before, as others may want the memory's bandwidth too.
      let copy = touched.copyRate(source.raw, threads: Self.copyThreads)
      let start = MonotonicClock.nanoseconds
      let ref = try await ray.put(source.bytes)
      let put = Double(source.raw.count) / Self.seconds(since: start)
      let small = try await ray.put(Bytes(repeatElement(7, count: Self.smallObject)))
      let begin = MonotonicClock.nanoseconds
      _ = try await ray.get(small).count
      let middle = MonotonicClock.nanoseconds
      try source.check(try await ray.get(ref))
      let large = Self.seconds(since: middle)
      ray.free([ref])
      ray.free([small])
      // Freed objects are reported in batches, 100 ms after the first: then their memory is free.
      await ray.sleep(.milliseconds(250))
      return ["copy": copy, "put": put, "get": large, "small get": Double(middle - begin) * 1e-9]
    }
    // The first ones touch the memory that the others use again.
    for _ in 0..<2 { _ = try await put() }
    return try await medians(put)
  }

  /// An object that a driver put on one node is brought to another, which has a task that depends
  /// on it.
  private func transfers(_ source: BenchMemory) async throws -> TransferFigures {
    let functions = BenchFunctions()
    let store = 2 * source.raw.count
    let nodes = [BenchNode.Options(store: store), BenchNode.Options(gpus: 1, store: store)]
    return try await withNodes(nodes) { nodes in
      try await connected(to: nodes[0], functions) { ray in
        func transfer() async throws -> Double {
          let ref = try await ray.put(source.bytes)
          // The other node is awake, and known to the scheduler.
          try await ray.get(ray.submit(functions.remoteNoop), timeout: .seconds(20))
          let start = MonotonicClock.nanoseconds
          let end = ray.submit(functions.remoteNoop, after: [ref])
          try await ray.get(end, timeout: .seconds(60))
          let rate = Double(source.raw.count) / Self.seconds(since: start)
          ray.free([ref])
          await ray.sleep(.milliseconds(400))
          return rate
        }
        for _ in 0..<2 { _ = try await transfer() }
        var figures = TransferFigures()
        figures.rate = try await median(transfer)
        // One small task after the other goes to the other node and back meanwhile.
        func probe(_ latencies: inout LatencyRecorder) async throws {
          let start = MonotonicClock.now
          try await ray.get(ray.submit(functions.remoteNoop), timeout: .seconds(60))
          latencies.record(MonotonicClock.now.since(start))
        }
        for _ in 0..<500 { try await probe(&figures.without) }
        for _ in 0..<runs {
          let ref = try await ray.put(source.bytes)
          let end = ray.submit(functions.remoteNoop, after: [ref])
          repeat {
            try await probe(&figures.during)
          } while try await ray.wait(
            [end], timeout: .microseconds(1)
          ).ready.isEmpty
          ray.free([ref])
          await ray.sleep(.milliseconds(400))
        }
        return figures
      }
    }
  }

  /// How fast an object goes from node to node, and how long small tasks take meanwhile.
  private struct TransferFigures: Sendable {
    var rate = 0.0
    var during = LatencyRecorder()
    var without = LatencyRecorder()
  }
}
