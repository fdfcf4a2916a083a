import Glibc
import Primitives
import RuntimeCore

@testable import RealWorld

/// Bytes that no two values share, checked whole: a run of one byte, and a word of its own on each page.
struct Pattern: Sendable {
  var count: Int
  var seed: UInt64

  func write(_ memory: UnsafeMutableRawBufferPointer) {
    guard let base = memory.baseAddress else { return }
    memset(base, Int32(UInt8(truncatingIfNeeded: seed)), memory.count)
    var offset = 0
    while offset + 8 <= memory.count {
      memory.storeBytes(of: mix64(seed &+ UInt64(offset)), toByteOffset: offset, as: UInt64.self)
      offset += 4096
    }
  }

  func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == count else { return false }
    if count == 0 { return true }
    let expected = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { expected.deallocate() }
    write(expected)
    return memcmp(expected.baseAddress!, bytes.baseAddress!, count) == 0
  }
}

struct TestFailure: Error, CustomStringConvertible {
  var description: String
}

/// A node in this process with a few functions, and what tests ask of it.
struct TestNode: Sendable {
  let cluster: InProcessCluster
  /// Makes patterns: takes (count, seed) for each result by value.
  let make: FunctionID
  /// Compares its objects with the patterns it gets by value; throws when one differs, else returns
  /// how many there were in 8 bytes.
  let check: FunctionID
  /// Throws the text that it gets by value.
  let fail: FunctionID
  /// A program that submits `make` and waits for the result, which is its own.
  let nest: FunctionID

  init(
    cpus: Int = 2, store: Int = 64 << 20, spillDirectory: String? = nil,
    _ change: (inout Parameters) -> Void = { _ in }
  ) throws {
    let functions = FunctionTable()
    let make = functions.register(
      "make",
      .function { input, output in
        for index in 0..<output.count {
          let pattern = Self.pattern(input.values, index)
          try output.store(index, byteCount: pattern.count) { pattern.write($0) }
        }
      })
    check = functions.register(
      "check",
      .function { input, output in
        for index in 0..<input.objects.count {
          let pattern = Self.pattern(input.values, index)
          if !pattern.matches(input.objects[index]) {
            throw TestFailure(
              description: "argument \(index) of \(input.objects[index].count) bytes differs")
          }
        }
        let count = UInt64(input.objects.count)
        try output.store(0, byteCount: 8) { $0.storeBytes(of: count, as: UInt64.self) }
      })
    fail = functions.register(
      "fail",
      .function { input, _ in
        throw TestFailure(description: String(decoding: input.values, as: UTF8.self))
      })
    nest = functions.register(
      "nest",
      .program { client, input in
        let pattern = Self.pattern(input.values, 0)
        return {
          let object = client.make([pattern], function: make)
          let status = await client.get(object)
          guard status == .value, pattern.matches(client.bytes(object)) else {
            throw TestFailure(
              description: "the inner task ended with \(String(describing: status))")
          }
          client.free(object)
          return { output in
            try output.store(0, byteCount: pattern.count) { pattern.write($0) }
          }
        }
      })
    self.make = make
    var settings = ClusterSettings()
    settings.parameters.freeDelay = .milliseconds(1)
    settings.spillDirectory = spillDirectory
    change(&settings.parameters)
    let description = NodeDescription(
      resources: ResourceVector(cpus: cpus), store: ByteCount(UInt64(store)))
    cluster = try InProcessCluster(
      try settings.plan(
        node: NodeID(0), description: description, nodes: [description.resources]),
      functions: functions)
  }

  private static func pattern(_ values: UnsafeRawBufferPointer, _ index: Int) -> Pattern {
    Pattern(
      count: Int(values.loadUnaligned(fromByteOffset: 16 * index, as: UInt64.self)),
      seed: values.loadUnaligned(fromByteOffset: 16 * index + 8, as: UInt64.self))
  }

  /// Runs a program and ends the cluster, whatever comes of it.
  func run<Result: Sendable>(
    _ program: @escaping @Sendable (Client) async throws -> Result
  ) async throws -> Result {
    do {
      let result = try await cluster.run(program)
      await cluster.stop()
      return result
    } catch {
      await cluster.stop()
      throw error
    }
  }
}

extension Client {
  /// Submits a task with arguments by value; the first of its results.
  func call(
    _ function: FunctionID, _ values: [UInt8] = [], _ objects: [ObjectHandle] = [],
    returns: Int = 1, body: TaskBody = .function
  ) -> ObjectHandle {
    var spec = model(function: function, shape: specs.shape(ResourceVector(cpus: 1)))
    spec.body = body
    spec.returns = UInt16(returns)
    let task = objects.withUnsafeBufferPointer { objects in
      values.withUnsafeBytes { values in
        withUnsafePointer(to: spec) {
          submit(like: $0, sequence: 0, arguments: objects, values: values, notice: .ifKept)
        }
      }
    }
    return ObjectHandle(producer: task, index: 0)
  }

  private func words(_ patterns: [Pattern]) -> [UInt8] {
    patterns.flatMap { pattern in
      [UInt64(pattern.count), pattern.seed].withUnsafeBytes { Array($0) }
    }
  }

  func make(
    _ patterns: [Pattern], function: FunctionID, body: TaskBody = .function
  ) -> ObjectHandle {
    call(function, words(patterns), returns: patterns.count, body: body)
  }

  func check(
    _ objects: [ObjectHandle], _ patterns: [Pattern], function: FunctionID
  ) -> ObjectHandle {
    call(function, words(patterns), objects)
  }

  func put(_ pattern: Pattern) async throws -> ObjectHandle {
    try await put(byteCount: pattern.count) { pattern.write($0) }
  }

  /// Waits for an object and brings its bytes; how it stands.
  func get(_ object: ObjectHandle) async -> ObjectStatus? {
    let id = [object].withUnsafeBufferPointer { request($0, needed: 1, isGet: true) }
    _ = await wait(id)
    await fetch([object])
    return status(object)
  }

  /// The text of an error.
  func text(_ object: ObjectHandle) -> String { String(decoding: bytes(object), as: UTF8.self) }
}
