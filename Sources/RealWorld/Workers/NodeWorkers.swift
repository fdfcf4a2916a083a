import Foundation
import Primitives
import RuntimeCore

/// What the workers of a node are.
public enum NodeWorkers: Sendable {
  /// Threads of the node's process: the fastest; a function that traps ends the node.
  case threads
  /// A process each: one that ends takes down what it ran and nothing else. Every process registers the
  /// same functions in the same order; see `WorkerProcess.runIfStarted`.
  case processes(WorkerLaunch = WorkerLaunch())
}

/// How a node starts a worker process.
public struct WorkerLaunch: Sendable, Equatable {
  /// The program.
  public var executable: String
  public var arguments: [String]
  /// Over that of the node.
  public var environment: [String: String] = [:]

  /// - Parameter executable: nil for that of this process.
  public init(executable: String? = nil, arguments: [String] = []) {
    self.executable = executable ?? Self.ownExecutable
    self.arguments = arguments
  }

  private static var ownExecutable: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? "/proc/self/exe"
  }
}

/// What a node tells its worker process when it has come.
struct WorkerWelcome: Codable, Sendable {
  var worker: UInt32
  var node: NodeID
  /// Of the programs that run there.
  var address: UInt32
  /// No two processes at one address number their programs alike.
  var incarnation: UInt32
  var settings: ClusterSettings
  var nodes: [ResourceVector]
  var segment: String
  var spin: TimeSpan
}

/// Why worker processes cannot be had.
public struct WorkerProcessError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
