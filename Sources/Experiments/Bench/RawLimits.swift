import Glibc
import Measurement
import Primitives
import RealWorld
import Synchronization

/// What the machine itself does, without any protocol: the limits beside the benchmarks.
enum RawLimits {
  /// Runs `body` on a new thread that nobody waits for.
  static func detach(_ body: @escaping @Sendable () -> Void) { _ = thread(body) }

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// A thread to join; nil when the system gives none, and then `body` has run already.
  static func thread(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
    let argument = Unmanaged.passRetained(Body(body)).toOpaque()
    var identity = pthread_t()
    let code = pthread_create(
      &identity, nil,
      {
        Unmanaged<Body>.fromOpaque($0!).takeRetainedValue().run()
        return nil
      }, argument)
    if code == 0 { return identity }
    Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
    return nil
  }

  static func join(_ thread: pthread_t?) { if let thread { pthread_join(thread, nil) } }

  // MARK: Queues between two threads

  /// Records a second through a ring of 16-byte records, made visible in batches of 256.
  static func ringRate(records: Int) -> Double {
    let ring = RecordRing<SIMD2<UInt64>>.allocate(capacity: 4096)
    let start = MonotonicClock.nanoseconds
    let consumer = thread {
      var left = records
      var empty = 0
      while left > 0 {
        if ring.popFirst() != nil {
          left -= 1
          empty = 0
          if left & 255 == 0 { ring.release() }
        } else {
          ring.release()
          empty += 1
          // On a shared machine the other side may have no processor.
          if empty > 1000 { sched_yield() }
        }
      }
      ring.release()
    }
    for i in 0..<records {
      while !ring.append(SIMD2(UInt64(i), 1)) {
        _ = ring.publish()
        sched_yield()
      }
      if i & 255 == 255 { _ = ring.publish() }
    }
    _ = ring.publish()
    join(consumer)
    let rate = Double(records) / RealBench.seconds(since: start)
    ring.deallocate()
    return rate
  }

  /// A mutex with a condition for each of two threads that take turns.
  private struct Turns {
    var mutex = pthread_mutex_t()
    var changed = pthread_cond_t()
    var turn = 0
  }

  /// Seconds of a round trip between two threads by mutex and condition: median.
  static func conditionPingPong(rounds: Int) -> Double {
    let turns = UnsafeMutablePointer<Turns>.allocate(capacity: 1)
    turns.initialize(to: Turns())
    pthread_mutex_init(&turns.pointee.mutex, nil)
    pthread_cond_init(&turns.pointee.changed, nil)
    // Plain memory, handed to the other thread and back by the mutex.
    nonisolated(unsafe) let shared = turns
    @Sendable func pass(from mine: Int) {
      pthread_mutex_lock(&shared.pointee.mutex)
      while shared.pointee.turn != mine {
        pthread_cond_wait(&shared.pointee.changed, &shared.pointee.mutex)
      }
      shared.pointee.turn = 1 - mine
      pthread_cond_signal(&shared.pointee.changed)
      pthread_mutex_unlock(&shared.pointee.mutex)
    }
    let other = thread { for _ in 0..<rounds { pass(from: 1) } }
    var latencies = LatencyRecorder()
    var start = MonotonicClock.now
    for _ in 0..<rounds {
      pass(from: 0)
      let now = MonotonicClock.now
      latencies.record(now.since(start))
      start = now
    }
    join(other)
    pthread_cond_destroy(&turns.pointee.changed)
    pthread_mutex_destroy(&turns.pointee.mutex)
    turns.deallocate()
    return latencies.percentile(50).seconds
  }

  // MARK: Memory

  /// Shared pages that have been written before.
  final class TouchedMemory: Sendable {
    nonisolated(unsafe) private let pages: UnsafeMutableRawPointer
    private let count: Int

    init(_ count: Int) throws {
      guard
        let pages = mmap(
          nil, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        pages != MAP_FAILED
      else { throw BenchError("no memory of \(count) bytes: use a smaller --scale") }
      memset(pages, 1, count)
      self.pages = pages
      self.count = count
    }

    deinit { munmap(pages, count) }

    /// Bytes a second of `memcpy` of `bytes` to them, by `threads` threads together.
    func copyRate(_ bytes: UnsafeRawBufferPointer, threads: Int) -> Double {
      guard let from = bytes.baseAddress, bytes.count <= count else { return .nan }
      nonisolated(unsafe) let source = from
      return RawLimits.rate(of: bytes.count, threads: threads) { [self] at, count in
        memcpy(pages + at, source + at, count)
      }
    }
  }

  /// Bytes a second of `memcpy` by `threads` threads together into memory of this process that nobody
  /// has touched, with huge pages if the kernel gives them on request.
  static func freshCopyRate(_ bytes: UnsafeRawBufferPointer, threads: Int) throws -> Double {
    let count = bytes.count
    let hugePage = 2 << 20
    guard
      let pages = mmap(
        nil, count + hugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      pages != MAP_FAILED, let from = bytes.baseAddress
    else { throw BenchError("no memory of \(count) bytes: use a smaller --scale") }
    defer { munmap(pages, count + hugePage) }
    let adviseHugePages: Int32 = 14
    madvise(pages, count + hugePage, adviseHugePages)
    nonisolated(unsafe) let source = from
    nonisolated(unsafe) let target = pages + (hugePage - Int(bitPattern: pages) % hugePage)
    return rate(of: count, threads: threads) { memcpy(target + $0, source + $0, $1) }
  }

  /// Bytes a second written to a new file of the kind in which stores lie, by `threads` threads
  /// together.
  static func freshFileRate(_ bytes: UnsafeRawBufferPointer, threads: Int) throws -> Double {
    let count = bytes.count
    let segment = try SharedSegment.create(byteCount: count)
    let file = open(segment.path, O_RDWR)
    guard file >= 0, let from = bytes.baseAddress else {
      throw BenchError("\(segment.path) cannot be opened: error \(errno)")
    }
    defer { close(file) }
    nonisolated(unsafe) let source = from
    let piece = 4 << 20
    let written = Atomic<Int>(0)
    let rate = rate(of: count, threads: threads) { start, length in
      var at = start
      while at < start + length {
        let done = pwrite(file, source + at, min(piece, start + length - at), at)
        if done <= 0 { return }
        written.add(done, ordering: .relaxed)
        at += done
      }
    }
    guard written.load(ordering: .relaxed) == count else {
      throw BenchError("\(segment.path) took less than \(count) bytes: use a smaller --scale")
    }
    return rate
  }

  /// Bytes a second when `threads` threads each do their part of `count` bytes, in whole huge pages.
  fileprivate static func rate(
    of count: Int, threads: Int, _ work: @escaping @Sendable (_ at: Int, _ count: Int) -> Void
  ) -> Double {
    let unit = 2 << 20
    let part = ((count + threads - 1) / threads + unit - 1) / unit * unit
    @Sendable func share(_ i: Int) {
      let at = min(count, i * part)
      work(at, min(part, count - at))
    }
    let start = MonotonicClock.nanoseconds
    let helpers = (1..<threads).map { i in thread { share(i) } }
    share(0)
    for helper in helpers { join(helper) }
    return Double(count) / RealBench.seconds(since: start)
  }

  /// Objects a second, each allocated, filled with `count` bytes and given back 1000 later.
  static func allocationRate(objects: Int, count: Int) -> Double {
    let source = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 16)
    defer { source.deallocate() }
    memset(source, 1, count)
    var kept = [UnsafeMutableRawPointer?](repeating: nil, count: 1000)
    let start = MonotonicClock.nanoseconds
    for i in 0..<objects {
      let slot = i % kept.count
      free(kept[slot])
      kept[slot] = malloc(count)
      kept[slot]?.copyMemory(from: source, byteCount: count)
    }
    let rate = Double(objects) / RealBench.seconds(since: start)
    for pointer in kept { free(pointer) }
    return rate
  }

  // MARK: Sockets

  /// A connected pair of TCP sockets on loopback.
  private static func socketPair() throws -> (Int32, Int32) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard listener >= 0 else { throw BenchError("no socket: error \(errno)") }
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let isConnected = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 1) == 0
          && getsockname(listener, $0, &length) == 0 && connect(client, $0, length) == 0
      }
    }
    let server = isConnected ? accept(listener, nil, nil) : -1
    guard server >= 0 else {
      close(client)
      throw BenchError("no connection on loopback: error \(errno)")
    }
    var one: Int32 = 1
    for descriptor in [client, server] {
      setsockopt(
        descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }
    return (client, server)
  }

  private static func receive(
    _ descriptor: Int32, _ memory: UnsafeMutableRawPointer, _ count: Int
  ) -> Bool {
    var done = 0
    while done < count {
      let got = recv(descriptor, memory + done, count - done, 0)
      if got <= 0 { return false }
      done += got
    }
    return true
  }

  /// Seconds of a round trip of 64 bytes over TCP between two threads that block: median.
  static func socketPingPong(rounds: Int) throws -> Double {
    let (client, server) = try socketPair()
    let other = thread {
      withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { memory in
        let memory = memory.baseAddress!
        while receive(server, memory, 64) { _ = send(server, memory, 64, 0) }
      }
    }
    let latencies = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { memory in
      let memory = memory.baseAddress!
      memset(memory, 0, 64)
      var latencies = LatencyRecorder()
      for _ in 0..<rounds {
        let start = MonotonicClock.now
        _ = send(client, memory, 64, 0)
        _ = receive(client, memory, 64)
        latencies.record(MonotonicClock.now.since(start))
      }
      return latencies
    }
    close(client)
    join(other)
    close(server)
    return latencies.percentile(50).seconds
  }

  /// Bytes a second over one TCP connection between two threads, in pieces of 1 MiB.
  static func socketStream(bytes: Int) throws -> Double {
    let (client, server) = try socketPair()
    let piece = 1 << 20
    let sender = thread {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: piece, alignment: 4096)
      defer { memory.deallocate() }
      memset(memory, 1, piece)
      var left = bytes
      while left > 0 {
        let sent = send(client, memory, min(piece, left), 0)
        if sent <= 0 { break }
        left -= sent
      }
      shutdown(client, Int32(SHUT_WR))
    }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: piece, alignment: 4096)
    memset(memory, 0, piece)
    let start = MonotonicClock.nanoseconds
    var total = 0
    while true {
      let got = recv(server, memory, piece, 0)
      if got <= 0 { break }
      total += got
    }
    let rate = Double(total) / RealBench.seconds(since: start)
    join(sender)
    memory.deallocate()
    close(client)
    close(server)
    guard total == bytes else { throw BenchError("\(total) of \(bytes) bytes came over loopback") }
    return rate
  }
}
