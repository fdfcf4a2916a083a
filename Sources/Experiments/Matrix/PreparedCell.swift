import Heliostat
import Primitives
import Reporting
import RuntimeCore
import Simulation
import Workload

/// A cell of the matrix, checked and ready to run under any seed.
public struct PreparedCell: Sendable {
  public let cell: WorkloadCell
  public let configuration: ClusterConfiguration
  /// Every setting in force, for the manifest.
  public let effective: [String: ConfigurationValue]
  let policies: String
  /// What a run of the cell reports.
  let measures: [Measure]
  /// The workload as the real world runs it.
  public let real: RealWorkload
  /// The largest demands of its tasks, and where the file asks for them.
  let demands: [(what: String, demand: ResourceVector, position: SourcePosition)]
  let largestObject: ByteCount
  private let start: @Sendable (UInt64, MeasureSink) -> StartedWorkload

  /// The application of one run, and the names of its functions for traces.
  struct StartedWorkload {
    var application: any Application
    var functionNames: () -> [String]
    var failure: () -> (any Error)?
  }

  /// Checks everything that can be checked before a run.
  public init(_ cell: WorkloadCell) throws(WorkloadError) {
    self.cell = cell
    let builder = try ClusterBuilder(cell.file)
    configuration = builder.configuration
    policies = builder.policyText
    var effective = builder.effective
    switch cell.file.workload {
    case .program(let name, let with):
      guard let type = ProgramRegistry.program(named: name.value) else {
        throw .unknown(
          "program", name.value, known: ProgramRegistry.programs.map { $0.name }, at: name.position)
      }
      var reader = try with.mapping()
      let program = try type.init(&reader)
      try reader.finish()
      demands = program.demands().map { ($0.what, $0.demand, name.position) }
      for (what, demand, position) in demands {
        try Self.check(demand, of: what, fits: configuration, at: position)
      }
      largestObject = program.largestObject
      real = RealWorkload(program)
      try Self.check(program.largestObject, fits: configuration, at: with.position)
      effective["workload"] = Self.describe(name.value, with)
      measures = type.measures
      start = { _, sink in Self.start(program, builder.configuration.head, sink) }
    case .generator(let name, let with):
      guard name.value == "independent" else {
        throw .unknown("generator", name.value, known: ["independent"], at: name.position)
      }
      var reader = try with.mapping()
      let options = try IndependentTasks.Options(&reader)
      try reader.finish()
      demands = [("a task", options.demand, name.position)]
      largestObject = options.outputSize
      let workers = configuration.nodes.count { options.demand.fits(in: $0.description.resources) }
      real = RealWorkload(options, nodes: workers)
      try Self.check(options.demand, of: "a task", fits: configuration, at: name.position)
      try Self.check(options.outputSize, fits: configuration, at: with.position)
      effective["workload"] = Self.describe(name.value, with)
      measures = IndependentTasks.measures
      start = { seed, sink in
        StartedWorkload(
          application: IndependentTasks(options, seed: seed, sink),
          functionNames: { ["task"] }, failure: { nil })
      }
    case .graph(let graph):
      var names = configuration.resourceNames
      var all: [(what: String, demand: ResourceVector, position: SourcePosition)] = []
      var largest = ByteCount.zero
      for task in graph.tasks {
        let demand = try task.demand(in: &names)
        try Self.check(
          demand, of: "task '\(task.id)'", fits: configuration, names: names, at: task.position)
        let size = ByteCount(UInt64(min(task.output.maximum, 1e18)))
        try Self.check(size, fits: configuration, at: task.position)
        largest = max(largest, size)
        all.append(("task '\(task.id)'", demand, task.position))
      }
      demands = all
      largestObject = largest
      effective["workload"] = .map(["graph": .integer(graph.tasks.count)])
      measures = GraphTasks.measures
      let vectors = all.map(\.demand)
      real = RealWorkload(graph, demands: vectors)
      start = { seed, sink in
        let application = GraphTasks(graph, demands: vectors, seed: seed, sink)
        return StartedWorkload(
          application: application, functionNames: { application.functionNames },
          failure: { nil })
      }
    }
    self.effective = effective
    for choice in cell.file.measures { _ = try measure(choice) }
  }

  /// The measure that a file asks for, and how many of the wanted unit are in one of its own.
  func measure(_ choice: MeasureChoice) throws(WorkloadError) -> (Measure, factor: Double) {
    guard let measure = measures.first(where: { $0.name == choice.name.value }) else {
      throw .unknown(
        "measure", choice.name.value, known: measures.map(\.name), at: choice.name.position)
    }
    guard let unit = choice.unit else { return (measure, 1) }
    guard let factor = Quantity.conversion(from: measure.unit, to: unit.value) else {
      throw WorkloadError(
        "'\(measure.name)' is measured in \(measure.unit), which cannot be given in "
          + "'\(unit.value)'", at: unit.position, hint: "remove 'unit', or use a unit of its kind")
    }
    return (measure, factor)
  }

  func begin(seed: UInt64, _ sink: MeasureSink) -> StartedWorkload { start(seed, sink) }

  private static func start(
    _ program: any WorkloadProgram, _ head: NodeID, _ sink: MeasureSink
  ) -> StartedWorkload {
    let library = FunctionLibrary()
    let prepared = program.prepared(in: library)
    let runtime = ProgramRuntime(
      driverNode: prepared.driverNode ?? head, library: library,
      announcesLibrary: prepared.announcesFunctions
    ) { ray in try await prepared.run(ray, sink) }
    return StartedWorkload(
      application: runtime, functionNames: { runtime.functionNames }, failure: { runtime.error })
  }

  private static func describe(_ name: String, _ with: PositionedValue) -> ConfigurationValue {
    var entries: [String: ConfigurationValue] = ["name": .text(name)]
    if var reader = try? with.mapping() {
      for (key, value) in reader.all() { entries[key.value] = .text(value.inlineText) }
    }
    return .map(entries)
  }

  // MARK: Checks before the run

  private static func check(
    _ demand: ResourceVector, of what: String, fits cluster: ClusterConfiguration,
    names: ResourceNames? = nil, at position: SourcePosition
  ) throws(WorkloadError) {
    if cluster.nodes.contains(where: { demand.fits(in: $0.description.resources) }) { return }
    let names = names ?? cluster.resourceNames
    var largest = ResourceVector.zero
    for node in cluster.nodes {
      largest.lanes = pointwiseMax(largest.lanes, node.description.resources.lanes)
    }
    throw WorkloadError(
      "\(what) needs \(names.describe(demand)), which no node of the cluster has", at: position,
      expected: "at most \(names.describe(largest)) on one node",
      hint: "ask for less, or choose a cluster with larger nodes")
  }

  private static func check(
    _ size: ByteCount, fits cluster: ClusterConfiguration, at position: SourcePosition
  ) throws(WorkloadError) {
    let store = cluster.nodes.map(\.description.store).min() ?? .zero
    if size <= store { return }
    throw WorkloadError(
      "an object of \(size) is larger than an object store of \(store)", at: position,
      expected: "objects that fit in one node's store",
      hint: "make the object smaller or the cluster's `store` larger")
  }
}
