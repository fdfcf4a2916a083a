import Primitives
import RealWorld

/// What code may know about where it runs, remote functions included, which see no session.
public enum TaskContext {
  public enum World: Sendable { case simulated, real }

  // Set where the simulated world runs the code of programs, so the real one pays nothing.
  @TaskLocal static var current = World.real

  /// The simulated world inside the programs and functions of a simulated cluster, else the real
  /// one.
  public static var world: World { current }

  /// Whether the task that runs here was asked to stop (`Session.cancel`, or its driver has gone): a task
  /// that lasts long may look from time to time, and throw. False in the functions of a simulated
  /// cluster, which take no time of their own.
  public static var isCancelled: Bool {
    Task.isCancelled || world == .real && RunningTask.isCancelled
  }

  /// Takes `span` in the real world, for a function that stands for work of that length. Does
  /// nothing in the simulated world, where `TaskOptions.duration` says how long the task takes.
  public static func spend(_ span: TimeSpan) {
    if world == .real { ModelledWork.spend(span) }
  }
}
