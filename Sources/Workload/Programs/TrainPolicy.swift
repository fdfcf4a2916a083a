import Heliostat
import Primitives

/// The example of the paper (OSDI'18 Fig 3 and 4): a policy is created, ten `Simulator` actors with a
/// GPU each roll it out, and `update_policy`, with two GPUs, makes the next one from all rollouts.
struct TrainPolicy: WorkloadProgram {
  static let name = "train-policy"
  static let summary = "the paper's example: Simulator actors on GPUs and a GPU task that updates"
  static let measures = [
    Measure("makespan", "s"), Measure("time per step", "s"), Measure("policy version", "count"),
  ]

  let simulators: Int
  let steps: Int
  let rolloutTime: TimeSpan
  let updateTime: TimeSpan
  let policySize: ByteCount
  let rolloutSize: ByteCount

  init(_ with: inout MappingReader) throws(WorkloadError) {
    simulators = try with.int("simulators", default: 10, in: 1...100_000)
    steps = try with.int("steps", default: 10, in: 1...1_000_000)
    rolloutTime = try with.duration("rollout-time", default: .milliseconds(200))
    updateTime = try with.duration("update-time", default: .milliseconds(50))
    policySize = try with.size("policy-size", default: ByteCount(350_000))
    rolloutSize = try with.size("rollout-size", default: ByteCount(1_000_000))
  }

  var largestObject: ByteCount { max(policySize, rolloutSize) }

  func demands() -> [(what: String, demand: ResourceVector)] {
    [
      ("create_policy", ResourceVector(cpus: 1)),
      ("a Simulator", ResourceVector(cpus: 0, gpus: 1)),
      ("update_policy", ResourceVector(cpus: 1, gpus: 2)),
    ]
  }

  struct Functions: Sendable {
    let createPolicy: RemoteFunction<Policy>
    let simulator: ActorClass<Int>
    let rollout: ActorMethod<Int, Policy, Rollout>
    let update: RemoteFunction<Policy, [ObjectRef<Rollout>], Policy>
  }

  /// Known by its version.
  typealias Policy = Sized<Int>
  /// Known by the version of the policy that it used.
  typealias Rollout = Sized<Int>

  func register(_ library: FunctionLibrary) -> Functions {
    let simulator = library.actorClass(
      "Simulator", TaskOptions(resources: ResourceVector(cpus: 0, gpus: 1))
    ) { 0 }
    return Functions(
      createPolicy: library.remote("create_policy", TaskOptions(outputSize: policySize)) {
        [policySize] in Policy(0, size: policySize)
      },
      simulator: simulator,
      rollout: library.method(
        "rollout", of: simulator,
        TaskOptions(duration: rolloutTime, outputSize: rolloutSize, resources: .zero)
      ) { [rolloutTime, rolloutSize] (count: inout Int, policy: Policy) in
        count += 1
        TaskContext.spend(rolloutTime)
        return Rollout(policy.value, size: rolloutSize)
      },
      update: library.program(
        "update_policy",
        TaskOptions(outputSize: policySize, resources: ResourceVector(cpus: 1, gpus: 2))
      ) { [policySize, updateTime] (ray: Session, policy: Policy, rollouts: [ObjectRef<Rollout>]) in
        let versions = try await ray.get(rollouts).map(\.value)
        guard versions.allSatisfy({ $0 == policy.value }) else {
          throw ProgramError(
            "rollouts of policies \(versions) reached the update of \(policy.value)")
        }
        ray.compute(updateTime)
        return Policy(policy.value + 1, size: policySize)
      })
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    let begin = ray.now
    var policy = ray.submit(functions.createPolicy)
    let actors = (0..<simulators).map { _ in ray.create(functions.simulator) }
    let log = sink.latency("training step")
    for _ in 0..<steps {
      let start = ray.now
      let rollouts = actors.map { ray.call($0, functions.rollout, .ref(policy)) }
      let next = ray.submit(functions.update, .ref(policy), .value(rollouts))
      _ = try await ray.get(next)
      ray.free(rollouts)
      ray.free([policy])
      policy = next
      log.record(ray.now.since(start))
    }
    let version = try await ray.get(policy).value
    guard version == steps else { throw ProgramError("\(steps) updates made policy \(version)") }
    let total = ray.now.since(begin).seconds
    sink.report("makespan", total, unit: "s")
    sink.report("time per step", total / Double(steps), unit: "s")
    sink.report("policy version", Double(version), unit: "count")
  }
}
