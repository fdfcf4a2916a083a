import Heliostat
import Primitives
import Testing

@Suite("Tasks that no node can run", .timeLimit(.minutes(10)))
struct InfeasibleTests {
  @Test("The node says once what they need; they wait, and the others run")
  func warns() async throws {
    let log = LogLines()
    let library = FunctionLibrary()
    let square = library.remote("square") { (x: Int) in x * x }
    let large = library.remote(
      "large", TaskOptions(resources: ResourceVector(cpus: 3))
    ) { (x: Int) in x }
    let cluster = try Cluster.inProcess(
      cpus: 2, store: ByteCount(64 << 20), library: library, logger: log.logger())
    try await cluster.runAndStop { ray async throws in
      let waiting = (0..<10).map { ray.submit(large, .value($0)) }
      #expect(try await ray.get(ray.submit(square, .value(3))) == 9)
      while log.all.isEmpty { await ray.sleep(.milliseconds(5)) }
      #expect(try await ray.get(ray.submit(square, .value(4))) == 16)
      let (ready, _) = try await ray.wait(waiting, timeout: .milliseconds(50))
      #expect(ready.isEmpty)
    }
    #expect(
      log.all == [
        "warning: 'large' needs {CPU: 3}, and no node has so much: its tasks wait for a node that has"
      ])
  }
}
