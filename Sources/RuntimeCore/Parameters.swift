import Primitives

/// Every constant of the protocol that the paper leaves open, with the value it takes by default and
/// where that value comes from (defaults of Ray mid-2018: `ray_config.h` at 137dd988).
public struct Parameters: Sendable, Equatable, Codable {
  /// Global scheduler replicas. A raylet escalates to one drawn at random.
  public var globalSchedulers = 1
  /// GCS shards; every key lives in the shard that its task identity hashes to.
  public var gcsShards = 1
  /// Members of each shard's chain.
  public var chainLength = 1
  /// Period of the load reports from each raylet to each global scheduler. Ray: 100 ms.
  public var heartbeat = TimeSpan.milliseconds(100)
  /// Weight of the newest sample in the exponential averages of task time and bandwidth.
  public var averageWeight = 0.1
  /// Task time before any sample.
  public var priorTaskTime = TimeSpan.milliseconds(10)
  /// Bandwidth before any sample: the link rate is the natural choice.
  public var priorBandwidth = Bandwidth(bytesPerSecond: 1e9)
  /// Size that a global scheduler assumes for an object that the GCS does not know. Ray: 1 MB.
  public var unknownObjectSize = ByteCount(1_000_000)
  /// Objects are sent in chunks of this size …
  public var chunkSize = ByteCount(5 << 20)
  /// … of which this many of one object may be under way at once.
  public var chunksInFlight = 4
  /// Share of the store that active pulls may fill, in percent; one pull is always active.
  public var pullQuotaPercent = 70
  /// Reading an object back that was evicted to disk.
  public var diskBandwidth = Bandwidth(bytesPerSecond: 200e6)
  /// Worker processes a node may start beyond its CPUs while others are blocked in `get`.
  public var extraWorkersPerCPU = 8
  /// Completions of one node that the GCS has not yet committed; at the limit the node starts no
  /// further task, so that a GCS that cannot keep up slows the cluster down and lineage that is not
  /// durable stays bounded. Ray 2018 bounded uncommitted lineage at 100 tasks.
  public var uncommittedLimit = 100
  /// A worker that is busy may be sent further tasks of the same demand that cannot block, as many as
  /// take this long by the node's average: an executor process then goes on without waiting for its
  /// raylet. Zero sends one task at a time, as the paper has it; Ray's `max_tasks_in_flight_per_worker`.
  public var pipelineTime = TimeSpan.zero
  /// … and never more than this many.
  public var pipelineLimit = 256
  /// Methods of one actor that may be under way to its worker, which runs them in order.
  public var actorPipelineLimit = 1
  /// Freed objects are reported in batches, by a driver to its raylet and by a raylet to each shard of
  /// the GCS: when one is full, or this long after its first object. Ray: 1 s.
  public var freeDelay = TimeSpan.milliseconds(100)
  /// Emit `Effect.record`: for traces and golden tests; off for throughput.
  public var recordsTransitions = false

  public init() {}
}
