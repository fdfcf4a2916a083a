import Heliostat
import Primitives
import Testing

/// Where a test's program runs.
enum TestWorld: CaseIterable {
  case simulated, real

  /// Runs a program on one node with `cpus` CPUs.
  func run(
    cpus: Int, _ library: FunctionLibrary, _ program: @escaping ProgramRuntime.Program
  ) async throws {
    switch self {
    case .simulated:
      var cluster = TestCluster()
      cluster.nodes = 1
      cluster.cpus = cpus
      let run = try cluster.run(library, program)
      run.expectSuccess()
    case .real:
      let cluster = try Cluster.inProcess(cpus: cpus, store: ByteCount(64 << 20), library: library)
      try await cluster.runAndStop(program)
    }
  }
}
