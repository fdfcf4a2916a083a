import Primitives
import RealWorld
import RuntimeCore

// What a program needs to say what its calls demand, without the rooms below.
@_exported import struct Primitives.ByteCount
@_exported import struct Primitives.Instant
@_exported import struct Primitives.ResourceVector
@_exported import struct Primitives.TimeSpan

/// An amount of a resource by its name, as the cluster numbers them only later.
@usableFromInline struct NamedAmount: Sendable {
  let name: String
  let amount: Double
}

/// What a call demands, in words:
///
///     ray.submit(train, .value(1), options: .cpus(2).gpus(1).custom("accelerator", 1))
///     let light = cluster.library.remote("light", .cpus(0.25)) { (x: Int) in x + 1 }
///
/// What is not named stays as it is: one CPU, and nothing else. Options given to a call take the place of
/// its function's; `function.options.gpus(1)` changes only what it says.
///
/// Amounts have a precision of 0.0001. A name that the cluster does not know is an error of the call
/// (`RuntimeError.unknownResource`), and so is an amount below zero or above 214 748
/// (`RuntimeError.invalidArgument`): a `get` of its results throws it. More than any node has is no
/// error: such a call waits for a node that has it.
extension TaskOptions {
  /// A demand for `amount` CPUs.
  public static func cpus(_ amount: Double) -> TaskOptions { TaskOptions().cpus(amount) }

  /// A demand for `amount` GPUs, besides one CPU.
  public static func gpus(_ amount: Double) -> TaskOptions { TaskOptions().gpus(amount) }

  /// A demand for `amount` of the custom resource `name`, besides one CPU.
  public static func custom(_ name: String, _ amount: Double) -> TaskOptions {
    TaskOptions().custom(name, amount)
  }

  /// The same with a demand for `amount` CPUs.
  public func cpus(_ amount: Double) -> TaskOptions { demanding(amount, ResourceVector.cpuLane) }

  /// The same with a demand for `amount` GPUs.
  public func gpus(_ amount: Double) -> TaskOptions { demanding(amount, ResourceVector.gpuLane) }

  /// The same with a demand for `amount` of the custom resource `name`.
  public func custom(_ name: String, _ amount: Double) -> TaskOptions {
    var options = self
    options.named = (named ?? []) + [NamedAmount(name: name, amount: amount)]
    return options
  }

  private func demanding(_ amount: Double, _ lane: Int) -> TaskOptions {
    // What cannot be is said when the call is submitted: there are no errors here.
    guard let units = ResourceVector.checkedUnits(amount) else {
      return custom(ResourceNames().names[lane], amount)
    }
    var options = self
    options.resources.lanes[lane] = units
    return options
  }
}

extension ResourceVector {
  /// Ten-thousandths of one; nil for what is no amount.
  static func checkedUnits(_ amount: Double) -> Int32? {
    amount >= 0 && amount <= 214_748 ? units(amount) : nil
  }

  /// This demand with the amounts that were given by name; of several for one name the last counts.
  func adding(_ named: [NamedAmount], _ names: ResourceNames) throws(RuntimeError) -> Self {
    var sum = self
    for demand in named {
      guard let lane = names.knownLane(of: demand.name) else {
        throw .unknownResource(demand.name, known: names.names)
      }
      guard let units = Self.checkedUnits(demand.amount) else {
        throw .invalidArgument(
          "a demand for \(demand.amount) of \(demand.name); an amount is 0 to 214748")
      }
      sum.lanes[lane] = units
    }
    return sum
  }
}

extension Backend {
  /// Submits a call that names some of its resources.
  @inline(never) final func submitNamed(
    _ call: TaskCall, _ options: borrowing TaskOptions, _ named: [NamedAmount],
    _ arguments: borrowing ArgumentList
  ) -> TaskHandle {
    var plain = copy options
    plain.named = nil
    do throws(RuntimeError) {
      plain.resources = try plain.resources.adding(named, resourceNames)
      return submit(call, plain, arguments)
    } catch {
      // A call like any other, for those that depend on it: one that never begins, and is given up.
      plain.resources = .refused
      let task = submit(call, plain, arguments)
      cancel(task, isRecursive: false)
      refusals[identity(task)] = error
      return task
    }
  }
}
