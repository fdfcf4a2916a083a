import Primitives

extension ClusterProfile {
  /// Reads a profile from a file.
  public static func load(_ path: String, files: FileReader = .disk) throws(WorkloadError)
    -> ClusterProfile
  {
    let text = try files.read(path, askedAt: SourcePosition(file: path, line: 0, column: 0))
    return try ClusterProfile(text: text, file: path)
  }

  /// Reads a profile from its text; `file` is what messages call it.
  public init(text: String, file: String) throws(WorkloadError) {
    try self.init(PositionedValue(try SourceNode.parse(text, file: file), path: ""))
  }

  init(_ root: PositionedValue) throws(WorkloadError) {
    var reader = try root.mapping()
    name = try reader.string("name")
    description = try reader.string("description", default: "")
    source = []
    if let notes = reader.optional("source") {
      if notes.isList {
        for note in try notes.list() { source.append(try note.string()) }
      } else {
        source = [try notes.string()]
      }
    }
    head = try Self.head(reader.optional("head"))
    groups = try Self.groups(reader.required("nodes", "a list of node groups"))
    network = try Self.network(reader.required("network", "a mapping with latency"))
    service = try ServiceTimes(reader.optional("service"))
    worker = try Self.worker(reader.optional("worker"))
    store = try Self.store(reader.optional("store"))
    try reader.finish()
  }

  static let maximumNodes = 100_000

  private static func head(_ value: PositionedValue?) throws(WorkloadError) -> Node {
    guard let value else {
      return Node(cpus: 0, gpus: 0, resources: [], speed: 1, store: ByteCount(100_000_000_000))
    }
    var reader = try value.mapping()
    let head = try node(&reader, cpus: reader.int("cpus", default: 0, in: 0...200_000))
    try reader.finish()
    return head
  }

  /// The keys that a head and a group share.
  private static func node(_ reader: inout MappingReader, cpus: Int) throws(WorkloadError) -> Node {
    Node(
      cpus: cpus,
      gpus: try reader.int("gpus", default: 0, in: 0...200_000),
      resources: try CustomResource.read(reader.optional("resources")),
      speed: try reader.double("speed", default: 1, in: 0.001...1000),
      store: try reader.size("store", default: ByteCount(100_000_000_000)),
      rack: try reader.optional("rack")?.int(in: 0...maximumNodes))
  }

  private static func groups(_ value: PositionedValue) throws(WorkloadError) -> [NodeGroup] {
    var groups: [NodeGroup] = []
    for item in try value.list() {
      var reader = try item.mapping()
      let name = try reader.optional("name")?.positionedString()
      let count = try reader.optional("count")?.int(in: 0...maximumNodes)
      var node = try node(&reader, cpus: reader.int("cpus", in: 0...200_000))
      node.group = name?.value
      try reader.finish()
      if let name, groups.contains(where: { $0.name == name.value }) {
        throw WorkloadError(
          "two groups are named '\(clip(name.value))'", at: name.position, hint: "rename one")
      }
      if count == nil, let open = groups.first(where: { $0.count == nil }) {
        throw item.error(
          "two groups have no count (the other is in line \(open.position.line))",
          expected: "at most one group that takes the rest", hint: "add 'count: …'")
      }
      groups.append(NodeGroup(name: name?.value, count: count, node: node, position: item.position))
    }
    if groups.isEmpty { throw value.error("'nodes' is an empty list", expected: "a node group") }
    return groups
  }

  private static func network(_ value: PositionedValue) throws(WorkloadError) -> Network {
    var reader = try value.mapping()
    var network = Network(
      model: try reader.choice("model", default: .maxMin),
      nic: try reader.bandwidth("nic", default: .unlimited),
      connection: try reader.bandwidth("connection", default: .unlimited),
      latency: try reader.duration("latency"),
      localLatency: try reader.duration("local-latency", default: .microseconds(5)),
      core: .unlimited)
    if let value = reader.optional("rack") {
      var rack = try value.mapping()
      network.rack = Rack(
        size: try rack.int("size", in: 1...maximumNodes),
        uplink: try rack.bandwidth("uplink", default: .unlimited),
        latency: try rack.duration("latency", default: .zero))
      try rack.finish()
    }
    network.core = try reader.bandwidth("core", default: .unlimited)
    try reader.finish()
    return network
  }

  private static func worker(_ value: PositionedValue?) throws(WorkloadError) -> Worker {
    guard var reader = try value?.mapping() else {
      return Worker(start: .zero, dispatch: .zero, finish: .zero)
    }
    let worker = Worker(
      start: try reader.duration("start", default: .zero),
      dispatch: try reader.duration("dispatch", default: .zero),
      finish: try reader.duration("finish", default: .zero))
    try reader.finish()
    return worker
  }

  private static func store(_ value: PositionedValue?) throws(WorkloadError) -> Store {
    var store = Store(
      put: Copy(fixed: .zero, bandwidth: .unlimited), threadedAbove: .zero,
      chunk: ByteCount(5 << 20), chunksInFlight: 4)
    guard var reader = try value?.mapping() else { return store }
    if var put = try reader.optional("put")?.mapping() {
      store.put = try copy(&put)
      try put.finish()
    }
    if var put = try reader.optional("threaded-put")?.mapping() {
      store.threadedAbove = try put.size("above")
      store.threadedPut = try copy(&put)
      try put.finish()
    }
    if let chunk = reader.optional("chunk") {
      store.chunk = try chunk.size()
      if store.chunk == .zero { throw chunk.wrong(expected: "at least 1B") }
    }
    store.chunksInFlight = try reader.int("chunks-in-flight", default: 4, in: 1...1_000_000)
    try reader.finish()
    return store
  }

  private static func copy(_ reader: inout MappingReader) throws(WorkloadError) -> Copy {
    Copy(
      fixed: try reader.duration("fixed", default: .zero),
      bandwidth: try reader.bandwidth("bandwidth", default: .unlimited))
  }
}

extension ClusterProfile.ServiceTimes {
  /// Reads `component: {message: duration}`.
  init(_ value: PositionedValue?) throws(WorkloadError) {
    components = []
    guard var reader = try value?.mapping() else { return }
    for (key, table) in reader.all() {
      guard Self.componentNames.contains(key.value) else {
        throw .unknown(
          "component", key.value, known: Self.componentNames, at: key.position,
          in: value?.path ?? "")
      }
      if table.isNull { continue }
      var component = Component(name: key.value, position: key.position, messages: [])
      var rows = try table.mapping()
      for (message, time) in rows.all() {
        component.messages.append(
          Entry(message: message.value, time: try time.duration(), position: message.position))
      }
      components.append(component)
    }
  }
}
