import Primitives

/// A cursor over memory that has been taken for a frame: writes without a check.
struct FrameOutput: BitwiseCopyable {
  var cursor: UnsafeMutableRawPointer

  @inline(__always) init(_ start: UnsafeMutableRawPointer) { cursor = start }

  @inline(__always) mutating func put<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
    cursor.storeBytes(of: value.littleEndian, as: Value.self)
    cursor += MemoryLayout<Value>.size
  }

  @inline(__always) mutating func put(_ id: TaskID) {
    put(id.high)
    put(id.low)
  }

  @inline(__always) mutating func put(_ id: ObjectID) {
    put(id.producer)
    put(id.index)
  }

  @inline(__always) mutating func put(_ vector: ResourceVector) {
    for lane in 0..<ResourceVector.kindCount { put(vector.lanes[lane]) }
  }

  @inline(__always) mutating func put(_ number: Double) { put(number.bitPattern) }

  @inline(__always) mutating func put(_ bytes: UnsafeRawBufferPointer) {
    if let start = bytes.baseAddress { cursor.copyMemory(from: start, byteCount: bytes.count) }
    cursor += bytes.count
  }

  @inline(__always) mutating func putZeros(_ count: Int) {
    cursor.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    cursor += count
  }
}

extension FrameReader {
  @inline(__always) mutating func loadTask() -> TaskID {
    let high = load(UInt64.self)
    return TaskID(high: high, low: load(UInt64.self))
  }

  @inline(__always) mutating func loadObject() -> ObjectID {
    let producer = loadTask()
    return ObjectID(producer: producer, index: load(Int32.self))
  }

  @inline(__always) mutating func loadVector() -> ResourceVector {
    var lanes = SIMD8<Int32>.zero
    for lane in 0..<ResourceVector.kindCount { lanes[lane] = load(Int32.self) }
    return ResourceVector(lanes: lanes)
  }

  @inline(__always) mutating func loadDouble() -> Double {
    Double(bitPattern: load(UInt64.self))
  }
}
