import Glibc
import Heliostat
import Primitives

/// The functions of the benchmarks. Every process of a cluster registers them in this order.
struct BenchFunctions: Sendable {
  let library = FunctionLibrary()
  /// Does nothing.
  let noop: RemoteFunction<Void>
  /// Does nothing, on a node with a GPU.
  let remoteNoop: RemoteFunction<Void>
  let counter: ActorClass<Int>
  /// Returns how often it was called.
  let next: ActorMethod<Int, Int>
  /// Holds its worker until the gate opens; within one process.
  let hold: RemoteFunction<Void>
  let gate = BenchGate()

  init() {
    noop = library.remote("bench.noop") { () -> Void in }
    remoteNoop = library.remote(
      "bench.remoteNoop", TaskOptions(resources: ResourceVector(gpus: 1))
    ) { () -> Void in }
    counter = library.actorClass("bench.Counter") { 0 }
    next = library.method("next", of: counter) { (count: inout Int) -> Int in
      count += 1
      return count
    }
    hold = library.remote("bench.hold") { [gate] () -> Void in gate.wait() }
  }
}

/// Holds threads until it is opened.
final class BenchGate: Sendable {
  private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func wait() { while sem_wait(semaphore) != 0 {} }

  /// Lets `count` threads through.
  func open(_ count: Int) { for _ in 0..<count { sem_post(semaphore) } }
}
