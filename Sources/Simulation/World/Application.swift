import Primitives
import RuntimeCore

/// What runs on a simulated cluster: it submits tasks through `SimulatedCluster` and hears of results.
/// Callbacks happen one at a time, at a driver's own moment (`SimulatedCluster.now(of:)`).
public protocol Application: AnyObject {
  /// True when the run is over.
  var isFinished: Bool { get }
  func start(on cluster: SimulatedCluster)
  /// A wanted result is in the local store of the driver's node.
  func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int)
  func requestEnded(_ request: RequestID, _ outcome: RequestOutcome, at driver: Int)
  /// A task with a function body runs: compute its values now; they become visible when the modelled
  /// time has passed. The answer is the status of its outputs.
  func compute(_ task: TaskHandle) -> ObjectStatus
  /// A task with a program body starts on a worker; end it with `SimulatedCluster.endProgram`.
  func programStarted(_ task: TaskHandle, on worker: WorkerID, of node: NodeID, at driver: Int)
  /// A running task is asked to stop, and with `isRecursive` to cancel what it has submitted
  /// (`SimulatedCluster.cancelChildren`).
  func cancellationRequested(_ task: TaskHandle, isRecursive: Bool)
  /// An actor's job has ended, and with it the actor.
  func actorEnded(_ creation: TaskHandle)
}

extension Application {
  public func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int) {}
  public func requestEnded(_ request: RequestID, _ outcome: RequestOutcome, at driver: Int) {}
  public func cancellationRequested(_ task: TaskHandle, isRecursive: Bool) {}
  public func actorEnded(_ creation: TaskHandle) {}
  public func compute(_ task: TaskHandle) -> ObjectStatus { .value }
  public func programStarted(
    _ task: TaskHandle, on worker: WorkerID, of node: NodeID, at driver: Int
  ) {
    preconditionFailure("this application has no programs")
  }
}

/// How a run ended.
public enum RunEnd: Sendable, Equatable {
  /// The application says that it is finished.
  case finished
  /// Nothing more can happen, yet the application waits.
  case stalled
  /// The limit of virtual time or of events was reached.
  case limited
}
