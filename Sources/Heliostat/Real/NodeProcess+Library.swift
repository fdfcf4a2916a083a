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
