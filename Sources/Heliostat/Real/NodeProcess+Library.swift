import Logging
import NIOCore
import RealWorld

extension NodeProcess {
  /// Starts a node whose workers run the functions of `library`.
  public static func start(
    _ options: Options, library: FunctionLibrary, on loop: any EventLoop, logger: Logger
  ) async throws -> NodeProcess {
    try await start(options, functions: library.table, on: loop, logger: logger)
  }
}

extension WorkerProcess {
  /// Serves the node that has started this process as its worker, and does not return then; does nothing
  /// in any other process.
  ///
  /// A program whose cluster has worker processes calls it once its functions are registered, before it
  /// does anything else: its nodes start the program again, as a worker, and what comes before the call
  /// happens there too.
  ///
  ///     let library = FunctionLibrary()
  ///     let square = library.remote("square") { (x: Int) in x * x }
  ///     WorkerProcess.runIfStarted(library)
  ///     let cluster = try Cluster.inProcess(cpus: 2, library: library, workers: .processes())
  public static func runIfStarted(_ library: FunctionLibrary) {
    runIfStarted(functions: library.table)
  }
}
