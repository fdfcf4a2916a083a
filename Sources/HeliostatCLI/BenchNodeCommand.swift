import ArgumentParser
import Dispatch
import Experiments

/// What `bench` starts as processes of its own.
struct BenchNodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-node", abstract: "A process that bench starts.",
    discussion: "Prints its endpoint, or its measurement, and ends when its input ends.",
    shouldDisplay: false)

  @Option(help: ArgumentHelp("The head to join.", valueName: "host:port"))
  var join: String?

  @Option(parsing: .unconditional, help: "CPUs of the node.")
  var cpus = 2

  @Option(parsing: .unconditional, help: "GPUs of the node.")
  var gpus = 0

  @Option(parsing: .unconditional, help: "Bytes of its object store.")
  var store = 1 << 30

  @Option(parsing: .unconditional, help: "Measure this many queued tasks instead of being a node.")
  var queue: Int?

  func run() throws {
    guard (1...1024).contains(cpus) else { throw BadInput("--cpus must be from 1 to 1024") }
    guard (0...1024).contains(gpus) else { throw BadInput("--gpus must be from 0 to 1024") }
    guard (1...(1 << 40)).contains(store) else {
      throw BadInput("--store must be from 1 to \(1 << 40) bytes")
    }
    if let queue, !(1...100_000_000).contains(queue) {
      throw BadInput("--queue must be from 1 to 100000000")
    }
    var options = BenchNode.Options()
    options.join = join
    options.cpus = cpus
    options.gpus = gpus
    options.store = store
    options.queue = queue
    let chosen = options
    try Blocking.run { try await BenchNode.main(chosen) }
  }
}

/// Runs `async` work from a command, which is not: its thread waits.
enum Blocking {
  private final class Box: @unchecked Sendable {
    // Written before the signal, read after it.
    var error: (any Error)?
  }

  /// - Throws: what `body` throws.
  static func run(_ body: @escaping @Sendable () async throws -> Void) throws {
    let done = DispatchSemaphore(value: 0)
    let box = Box()
    Task.detached {
      do { try await body() } catch { box.error = error }
      done.signal()
    }
    done.wait()
    if let error = box.error { throw error }
  }
}
