import Benchmark
import BenchmarkSupport
import Experiments
import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import WireFormat

let benchmarks: @Sendable () -> Void = {
  rings()
  Benchmark.rate("wire_format", of: "Messages", 1_000_000) {
    let link = CodecLink()
    for _ in 0..<500_000 { link.submitAndAnswer() }
    link.deallocate()
  }
  Benchmark.rate("object_memory", of: "Objects", 1_000_000) {
    blackHole(storedBytes(objects: 1_000_000, byteCount: 1000))
  }
  Benchmark.rate("value_coding", of: "Values", 1_000_000) {
    blackHole(codedSum(values: 1_000_000))
  }
  tasksInProcess()
}

private func rings() {
  Benchmark.rate("record_ring", of: "Records", 20_000_000) {
    let ring = RecordRing<SIMD2<UInt64>>.allocate(capacity: 4096)
    var sum: UInt64 = 0
    for batch in 0..<UInt64(20_000_000 / 256) {
      for i in 0..<256 as Range<UInt64> { _ = ring.append(SIMD2(batch, i)) }
      _ = ring.publish()
      while let record = ring.popFirst() { sum &+= record.y }
      ring.release()
    }
    blackHole(sum)
    ring.deallocate()
  }
  Benchmark.rate("frame_ring", of: "Runs", 5_000_000) {
    let ring = FrameRing.allocate(capacity: 1 << 20)
    let run = UnsafeMutableRawBufferPointer.allocate(byteCount: 640, alignment: 8)
    run.initializeMemory(as: UInt8.self, repeating: 1)
    var sum = 0
    for _ in 0..<5_000_000 {
      _ = ring.write(UnsafeRawBufferPointer(run))
      if let next = ring.next() { sum &+= next.count }
      ring.release()
    }
    blackHole(sum)
    run.deallocate()
    ring.deallocate()
  }
}

/// The tables of two processes and the codecs of the link between them: what a task costs there.
private final class CodecLink {
  let near = TaskSpecTable.allocate(interning: true)
  let far = TaskSpecTable.allocate(interning: true)
  let payloads = (MessagePayloads.allocate(), MessagePayloads.allocate())
  let raylet = Address.raylet(NodeID(0))
  let driver = Address.driver(0)
  var toFar: MessageEncoder
  var toNear: MessageEncoder
  var atFar: MessageDecoder
  var atNear: MessageDecoder
  var writer = FrameWriter()
  var borrowed = EffectBuffer<TaskHandle>()
  let shape: UInt16
  var number: UInt64 = 0

  init() {
    toFar = MessageEncoder(specs: near, payloads: payloads.0)
    toNear = MessageEncoder(specs: far, payloads: payloads.1)
    atFar = MessageDecoder(specs: far, payloads: payloads.1, bounds: .none)
    atNear = MessageDecoder(specs: near, payloads: payloads.0, bounds: .none)
    shape = near.shape(ResourceVector(cpus: 1))
  }

  func deallocate() {
    near.deallocate()
    far.deallocate()
    payloads.0.deallocate()
    payloads.1.deallocate()
  }

  /// A submission there and its result back: two messages encoded and two decoded.
  func submitAndAnswer() {
    number += 1
    let id = TaskID(high: number &* 0x9E37_79B9_7F4A_7C15, low: number)
    let task = near.insert(TaskSpec(id: id, function: FunctionID(1), shape: shape))
    // One reference goes with the message, one stays for the result.
    near.retain(task)
    send {
      try toFar.encode(.taskSubmitted(task, notice: .none), from: driver, to: raylet, into: &$0)
    }
    guard
      let there = try? atFar.decode(writer.bytes, borrowing: &borrowed),
      case .taskSubmitted(let copy, _) = there.message
    else { fatalError("a submission did not survive its way") }
    releaseBorrowed(&borrowed, in: far)
    send {
      try toNear.encode(
        .objectReady(ObjectHandle(producer: copy, index: 0), .value), from: raylet, to: driver,
        into: &$0)
    }
    guard
      let back = try? atNear.decode(writer.bytes, borrowing: &borrowed),
      case .objectReady(let object, .value) = back.message, object.producer == task
    else { fatalError("a result did not survive its way") }
    releaseBorrowed(&borrowed, in: near)
    far.release(copy)
    near.release(task)
  }

  private func send(_ encode: (inout FrameWriter) throws -> Void) {
    writer.removeAll()
    do { try encode(&writer) } catch { fatalError("a message cannot be encoded: \(error)") }
  }
}

private func storedBytes(objects: Int, byteCount: Int) -> Int {
  guard let segment = try? SharedSegment.create(byteCount: 16 << 20) else {
    fatalError("no shared memory of 16 MiB: see /dev/shm")
  }
  var memory = ObjectMemory(segment: segment)
  var sum = 0
  for i in 0..<UInt64(objects) {
    do {
      sum += try memory.create(i, count: byteCount).count
      try memory.seal(i)
      // A thousand live at a time.
      if i >= 1000 { try memory.delete(i - 1000) }
    } catch {
      fatalError("an object of \(byteCount) bytes cannot be stored: \(error)")
    }
  }
  return sum
}

private func codedSum(values: Int) -> Double {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
  defer { memory.deallocate() }
  var sum = 0.0
  for i in 0..<values {
    do {
      try EncodedValue.write(Double(i), into: memory)
      sum += try EncodedValue.read(
        Double.self, from: UnsafeRawBufferPointer(memory), owner: nil)
    } catch {
      fatalError("a number cannot be encoded: \(error)")
    }
  }
  return sum
}

/// Wall time of a whole cluster: its allocations come on several threads and are not counted.
private func tasksInProcess() {
  let rate = BenchmarkMetric.rate(of: "Tasks")
  Benchmark(
    "tasks_in_process",
    configuration: .init(
      metrics: [rate, .cpuTotal, .wallClock], warmupIterations: 1, maxDuration: .seconds(60),
      maxIterations: 5)
  ) { benchmark in
    let cluster = try Cluster.inProcess(cpus: 2)
    let noop = cluster.library.remote("noop") { () -> Void in }
    let measured = try await cluster.run { ray in
      try await RealBench.taskRate(ray, noop, count: 1_000_000)
    }
    await cluster.stop()
    benchmark.measurement(rate, Int(measured))
  }
}
