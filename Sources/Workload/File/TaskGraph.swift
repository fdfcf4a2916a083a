import Primitives

/// Tasks with modelled durations and sizes, and the edges between them: no duplicate or unknown
/// identities, no cycles.
public struct TaskGraph: Sendable {
  /// In the order written.
  public var tasks: [Task]
  /// Indices of `tasks`, inputs before those who need them; otherwise in the order written.
  public var order: [Int]

  /// One entry of `graph:`.
  public struct Task: Sendable {
    public var id: String
    /// The name of its function; the id when not given.
    public var function: String
    /// Execution time in seconds on a node of speed 1.
    public var duration: Distribution
    /// Bytes of each return value; 0 when not given.
    public var output: Distribution
    /// Indices of the tasks whose outputs it takes, in the order written; may repeat.
    public var needs: [Int]
    /// How many return values; 1 when not given.
    public var returns: Int
    /// CPUs; 1 when not given.
    public var cpus: Double
    /// GPUs; 0 when not given.
    public var gpus: Double
    public var resources: [CustomResource]
    /// How many equal copies; 1 when not given. Who needs the task needs every copy of it.
    public var count: Int
    public var position: SourcePosition

    /// Its demand; adds the custom kinds to `names`.
    public func demand(in names: inout ResourceNames) throws(WorkloadError) -> ResourceVector {
      try CustomResource.vector(cpus: cpus, gpus: gpus, custom: resources, names: &names)
    }
  }

  /// Reads the list and checks the graph.
  init(_ value: PositionedValue) throws(WorkloadError) {
    let items = try value.list()
    if items.isEmpty {
      throw value.error("'\(value.path)' has no tasks", expected: "at least one task")
    }
    tasks = []
    tasks.reserveCapacity(items.count)
    var needs: [[PositionedValue]] = []
    var indices: [String: Int] = [:]
    for item in items {
      var reader = try item.mapping()
      let (task, needed) = try Self.task(&reader, item.position)
      if let other = indices.updateValue(tasks.count, forKey: task.id) {
        throw try reader.required("id", "a name").error(
          "task '\(clip(task.id))' is listed twice (first in line \(tasks[other].position.line))",
          hint: "rename one")
      }
      tasks.append(task)
      needs.append(needed)
    }
    for (index, names) in needs.enumerated() {
      for name in names {
        let id = try name.string()
        guard let source = indices[id] else {
          throw .unknown("task", id, known: tasks.prefix(2000).map(\.id), at: name.position)
        }
        guard source != index else {
          throw name.error("task '\(clip(id))' needs itself", hint: "remove it from 'needs'")
        }
        tasks[index].needs.append(source)
      }
    }
    order = []
    try sort()
  }

  private static func task(_ reader: inout MappingReader, _ position: SourcePosition)
    throws(WorkloadError) -> (Task, [PositionedValue])
  {
    let id = try reader.required("id", "a name for the task").string()
    let function = try reader.string("function", default: id)
    let duration = try reader.distribution("duration", of: .duration)
    let output = try reader.distribution("output", of: .size, default: .constant(0))
    let needs = try reader.optional("needs")?.list() ?? []
    let returns = try reader.int("returns", default: 1, in: 0...65_535)
    var cpus = 1.0
    if let amount = reader.optional("cpus") { cpus = try CustomResource.read(amount: amount) }
    var gpus = 0.0
    if let amount = reader.optional("gpus") { gpus = try CustomResource.read(amount: amount) }
    let task = Task(
      id: id, function: function, duration: duration, output: output, needs: [], returns: returns,
      cpus: cpus, gpus: gpus,
      resources: try CustomResource.read(reader.optional("resources")),
      count: try reader.int("count", default: 1, in: 1...100_000_000), position: position)
    try reader.finish()
    return (task, needs)
  }

  /// Fills `order`, or throws for a cycle. Depth first with an explicit stack: chains are long.
  private mutating func sort() throws(WorkloadError) {
    enum State { case new, open, done }
    var state = [State](repeating: .new, count: tasks.count)
    order.reserveCapacity(tasks.count)
    for start in tasks.indices where state[start] == .new {
      var stack = [(task: start, next: 0)]
      state[start] = .open
      while let top = stack.last {
        guard top.next < tasks[top.task].needs.count else {
          state[top.task] = .done
          order.append(top.task)
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        let source = tasks[top.task].needs[top.next]
        if state[source] == .new {
          state[source] = .open
          stack.append((source, 0))
        } else if state[source] == .open {
          throw cycle(stack.map(\.task), closing: source)
        }
      }
    }
  }

  /// Names the cycle from its first task in the file, whose place the error gets.
  private func cycle(_ stack: [Int], closing: Int) -> WorkloadError {
    var ring = Array(stack.drop { $0 != closing })
    let first = ring.indices.min { ring[$0] < ring[$1] } ?? 0
    ring = Array(ring[first...] + ring[..<first])
    var names = (ring + [ring[0]]).map { clip(tasks[$0].id) }
    if names.count > 12 {
      names.replaceSubrange(6..<(names.count - 5), with: ["… \(names.count - 11) more …"])
    }
    return WorkloadError(
      "tasks need each other in a cycle: \(names.joined(separator: " → "))",
      at: tasks[ring[0]].position, expected: "no cycles", hint: "remove one of these needs")
  }
}
