import Primitives

/// Exact max-min fair sharing: a fluid model in which every flow has, at each moment, a rate that
/// cannot be raised without lowering that of a flow which is no faster (D. Bertsekas and R. Gallager,
/// "Data Networks", 2nd ed., 1992, section 6.5.2).
///
/// Rates change only when a flow starts or ends. Both happen at whole nanoseconds: a flow that ends
/// between two of them keeps its share until the second, and all changes of one nanosecond are
/// solved together. `MaxMinNetwork+Solve.swift` says how; here is who crosses what.
struct MaxMinNetwork: ~Copyable {
  struct Link: BitwiseCopyable {
    /// Bytes per nanosecond, here and in all other rates.
    var capacity: Double
    /// `capacity` less the rates of all flows that are not being solved.
    var spare: Double
    /// The rate of the flows that this link holds back; infinite when it holds back none.
    var level: Double = .infinity
    /// No flow that others hold back on this link is faster than this; only while solving.
    var ceiling: Double = .infinity
    /// The lowest key under which the link is in the queue of the present solution.
    var queuedKey: Double = .infinity
    /// How many of its flows are being solved.
    var unfrozen: Int32 = 0
    /// Solutions since `spare` was last summed afresh.
    var age: Int32 = 0
    /// The link is part of the present solution.
    var isAffected = false
    var flowCount: Int32 = 0
    var flowCapacity: Int32
    /// How many flows it holds back: they stand first in `crossings`.
    var held: Int32 = 0
    /// The flows that cross it.
    var crossings: UnsafeMutablePointer<Crossing>
  }

  /// A flow on a link.
  struct Crossing: BitwiseCopyable {
    /// Slot × 8 + the link's place in the flow's path.
    private var packed: UInt32
    /// The other link of a path of two, which is most; else −1.
    var other: Int32

    init(slot: Int, hop: Int, other: Int32) {
      packed = UInt32(slot) << 3 | UInt32(hop)
      self.other = other
    }

    @inline(__always) var slot: Int { Int(packed >> 3) }
    @inline(__always) var hop: Int { Int(packed & 7) }
  }

  /// What the solution needs of a flow: one cache line.
  struct Flow: BitwiseCopyable {
    /// A link, or one of the markers below.
    var bottleneck: Int32 = Flow.unfrozen
    var hops: Int32 = 0
    /// The links of its path.
    var links: (Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0)
    var rate: Double = 0
    /// Bytes left at `since`.
    var remaining: Double
    /// Nanoseconds.
    var since: Double
    private var padding: UInt64 = 0

    init(size: ByteCount, since: Double) {
      remaining = Double(size.bytes)
      self.since = since
    }

    static var unfrozen: Int32 { -1 }
    static var flowCap: Int32 { -2 }
  }

  struct Identity: BitwiseCopyable {
    var token: UInt64
    var order: UInt64
    var latency: TimeSpan
    /// Where the flow stands in the list of each link of its path.
    var places: (UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0)
  }

  /// A flow that ends within this of a whole nanosecond ends there: the rounding of the arithmetic
  /// must not cost a nanosecond.
  static var slack: Double { 0x1p-10 }

  let linkCount: Int
  let links: UnsafeMutablePointer<Link>
  let flowCap: Double
  /// Per node: its NIC up, NIC down and rack; per rack: its uplink up and down. −1: unlimited.
  private let nodeLinks: GrowableBuffer<(up: Int32, down: Int32, rack: Int32)>
  private let rackLinks: GrowableBuffer<(up: Int32, down: Int32)>
  private let coreLink: Int32

  var flows: UnsafeMutablePointer<Flow>
  private var identities: UnsafeMutablePointer<Identity>
  var completions: CompletionIndex
  private var capacity: Int
  private var freeSlots = GrowableBuffer<Int32>(capacity: 64)
  private var usedSlots = 0

  private(set) var activeFlows = 0
  private var started: UInt64 = 0
  /// The moment of the latest change; pending changes happened now.
  private(set) var clock: UInt64 = 0
  private var ended = GrowableBuffer<(order: UInt64, slot: Int32)>()
  /// The links whose flows changed since the last solution, then all that it affects.
  var affected: GrowableBuffer<Int32>
  var queue = LinkQueue()

  init(topology: Topology) {
    var bandwidths = GrowableBuffer<Double>()
    func number(_ bandwidth: Bandwidth) -> Int32 {
      if bandwidth == .unlimited { return -1 }
      bandwidths.append(bandwidth.bytesPerSecond * 1e-9)
      return Int32(bandwidths.count - 1)
    }
    var nodes = GrowableBuffer<(up: Int32, down: Int32, rack: Int32)>(
      capacity: topology.nodeCount)
    for (nic, rack) in zip(topology.nics, topology.rackOfNode) {
      nodes.append((number(nic.up), number(nic.down), Int32(rack)))
    }
    var racks = GrowableBuffer<(up: Int32, down: Int32)>(capacity: topology.rackUplinks.count)
    for uplink in topology.rackUplinks { racks.append((number(uplink.up), number(uplink.down))) }
    coreLink = number(topology.core)
    nodeLinks = nodes
    rackLinks = racks
    flowCap = topology.flowCap.bytesPerSecond * 1e-9

    linkCount = bandwidths.count
    links = .allocate(capacity: max(linkCount, 1))
    affected = GrowableBuffer(capacity: max(linkCount, 1))
    for link in 0..<linkCount {
      (links + link).initialize(
        to: Link(
          capacity: bandwidths[link], spare: bandwidths[link], flowCapacity: 8,
          crossings: .allocate(capacity: 8)))
    }
    completions = CompletionIndex(capacity: 64)
    capacity = completions.capacity
    flows = Self.allocate(capacity)
    identities = Self.allocate(capacity)
  }

  deinit {
    for link in 0..<linkCount { links[link].crossings.deallocate() }
    links.deallocate()
    flows.deallocate()
    identities.deallocate()
  }

  /// Starts a flow; returns its arrival when no shared link and no competitor can change it.
  mutating func start(
    from: NodeID, to: NodeID, size: ByteCount, token: UInt64, at now: Instant, latency: TimeSpan
  ) -> Instant? {
    moveClock(to: now)
    let (sender, receiver) = (nodeLinks[Int(from.index)], nodeLinks[Int(to.index)])
    var flow = Flow(size: size, since: Double(clock))
    flow.append(sender.up)
    if sender.rack != receiver.rack {
      flow.append(rackLinks[Int(sender.rack)].up)
      flow.append(coreLink)
      flow.append(rackLinks[Int(receiver.rack)].down)
    }
    flow.append(receiver.down)
    if size == .zero { return now + latency }
    if flow.hops == 0 {
      return now + Bandwidth(bytesPerSecond: flowCap * 1e9).time(for: size) + latency
    }
    let slot = takeSlot()
    flows[slot] = flow
    let path = (flows + slot).path
    var identity = Identity(token: token, order: started, latency: latency)
    for hop in 0..<Int(flow.hops) {
      let link = Int(path[hop])
      let other = flow.hops == 2 ? path[1 - hop] : -1
      let place = enlist(Crossing(slot: slot, hop: hop, other: other), on: link)
      identity.setPlace(hop, UInt32(place))
      links[link].unfrozen += 1
      touch(link)
    }
    identities[slot] = identity
    started += 1
    activeFlows += 1
    return nil
  }

  var nextCompletion: Instant? {
    mutating get {
      if affected.count > 0 { solve() }
      let earliest = completions.earliest()
      return earliest == .infinity ? nil : Instant(nanoseconds: wholeNanosecond(earliest))
    }
  }

  mutating func advance(to now: Instant, _ body: (UInt64, Instant) -> Void) {
    while activeFlows > 0 {
      if affected.count > 0 { solve() }
      let earliest = completions.earliest()
      if earliest == .infinity { break }
      let end = wholeNanosecond(earliest)
      if end > now.nanoseconds { break }
      clock = end
      let limit = max(Double(end) + Self.slack, earliest)
      ended.removeAll()
      completions.forEach(upTo: limit) { ended.append((identities[$0].order, Int32($0))) }
      if ended.count > 1 {
        var list = UnsafeMutableBufferPointer(start: ended.base, count: ended.count)
        list.sort { $0.order < $1.order }
      }
      for index in 0..<ended.count {
        let slot = Int(ended[index].slot)
        let identity = identities[slot]
        remove(slot)
        body(identity.token, Instant(nanoseconds: end) + identity.latency)
      }
      // What starts at `now` is solved together with what ended then.
      if end == now.nanoseconds { break }
    }
  }

  mutating func rate(ofToken token: UInt64) -> Bandwidth? {
    if affected.count > 0 { solve() }
    for slot in 0..<usedSlots
    where completions.times[slot] < .infinity && identities[slot].token == token {
      return Bandwidth(bytesPerSecond: flows[slot].rate * 1e9)
    }
    return nil
  }

  /// The first whole nanosecond, not before the clock, at which a flow with this end has ended.
  private func wholeNanosecond(_ end: Double) -> UInt64 {
    let up = (end - Self.slack).rounded(.up)
    return max(up < 0x1p63 ? UInt64(max(up, 0)) : 1 << 63, clock)
  }

  private mutating func moveClock(to now: Instant) {
    precondition(now.nanoseconds >= clock, "a flow starts at \(now), before the latest change")
    if now.nanoseconds == clock { return }
    // Changes of the earlier moment take effect there.
    if affected.count > 0 { solve() }
    assert(completions.earliest() > Double(now.nanoseconds) - 1, "advance comes before start")
    clock = now.nanoseconds
  }

  private mutating func remove(_ slot: Int) {
    let flow = flows + slot
    for hop in 0..<Int(flow.pointee.hops) {
      let link = Int(flow.path[hop])
      delist(Int(identities[slot].place(hop)), from: link)
      links[link].spare += flow.pointee.rate
      touch(link)
    }
    completions.set(slot, .infinity)
    freeSlots.append(Int32(slot))
    activeFlows -= 1
  }

  @inline(__always)
  private mutating func touch(_ link: Int) {
    if links[link].isAffected { return }
    links[link].isAffected = true
    affected.append(Int32(link))
  }

  private mutating func enlist(_ crossing: Crossing, on link: Int) -> Int {
    let count = Int(links[link].flowCount)
    if links[link].flowCount == links[link].flowCapacity {
      let larger = UnsafeMutablePointer<Crossing>.allocate(capacity: count * 2)
      larger.update(from: links[link].crossings, count: count)
      links[link].crossings.deallocate()
      links[link].crossings = larger
      links[link].flowCapacity *= 2
    }
    links[link].crossings[count] = crossing
    links[link].flowCount += 1
    return count
  }

  private mutating func delist(_ place: Int, from link: Int) {
    var hole = place
    if hole < Int(links[link].held) {
      links[link].held -= 1
      move(from: Int(links[link].held), to: hole, on: link)
      hole = Int(links[link].held)
    }
    links[link].flowCount -= 1
    let last = Int(links[link].flowCount)
    if last != hole { move(from: last, to: hole, on: link) }
  }

  private mutating func move(from: Int, to: Int, on link: Int) {
    let crossing = links[link].crossings[from]
    links[link].crossings[to] = crossing
    identities[crossing.slot].setPlace(crossing.hop, UInt32(to))
  }

  /// Puts the flow at `place` of a link's list behind those that the link holds back.
  @inline(__always)
  mutating func hold(_ place: Int, on link: UnsafeMutablePointer<Link>) {
    let list = link.pointee.crossings
    let end = Int(link.pointee.held)
    link.pointee.held &+= 1
    if place == end { return }
    let (risen, displaced) = (list[place], list[end])
    list[end] = risen
    list[place] = displaced
    identities[risen.slot].setPlace(risen.hop, UInt32(end))
    identities[displaced.slot].setPlace(displaced.hop, UInt32(place))
  }

  private mutating func takeSlot() -> Int {
    if freeSlots.count > 0 { return Int(freeSlots.removeLast()) }
    if usedSlots == capacity {
      precondition(capacity < 1 << 28, "more than \(1 << 28) flows at once")
      flows = Self.enlarged(flows, capacity)
      identities = Self.enlarged(identities, capacity)
      capacity *= 2
      completions.grow(to: capacity)
    }
    usedSlots += 1
    return usedSlots - 1
  }

  private static func enlarged<Element: BitwiseCopyable>(
    _ old: UnsafeMutablePointer<Element>, _ count: Int
  ) -> UnsafeMutablePointer<Element> {
    let larger: UnsafeMutablePointer<Element> = allocate(count * 2)
    larger.update(from: old, count: count)
    old.deallocate()
    return larger
  }

  /// Records of a whole cache line start on one.
  private static func allocate<Element: BitwiseCopyable>(
    _ count: Int
  ) -> UnsafeMutablePointer<Element> {
    let bytes = MemoryLayout<Element>.stride * count
    return UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
      .bindMemory(to: Element.self, capacity: count)
  }
}

extension UnsafeMutablePointer<MaxMinNetwork.Flow> {
  /// The links of the flow's path, read in place: subscripting a copy would go through the stack.
  @inline(__always)
  var path: UnsafePointer<Int32> {
    (UnsafeRawPointer(self) + MaxMinNetwork.Flow.linksOffset).assumingMemoryBound(to: Int32.self)
  }
}

extension MaxMinNetwork.Flow {
  /// `bottleneck` and `hops` come first.
  @inline(__always)
  static var linksOffset: Int { 2 * MemoryLayout<Int32>.stride }

  /// Adds a link; an unlimited one (−1) is no constraint and is left out.
  mutating func append(_ link: Int32) {
    if link < 0 { return }
    withUnsafeMutableBytes(of: &links) {
      $0.storeBytes(of: link, toByteOffset: Int(hops) * 4, as: Int32.self)
    }
    hops += 1
  }
}

extension MaxMinNetwork.Identity {
  @inline(__always)
  func place(_ hop: Int) -> UInt32 {
    withUnsafeBytes(of: places) { $0.load(fromByteOffset: hop * 4, as: UInt32.self) }
  }

  @inline(__always)
  mutating func setPlace(_ hop: Int, _ place: UInt32) {
    withUnsafeMutableBytes(of: &places) {
      $0.storeBytes(of: place, toByteOffset: hop * 4, as: UInt32.self)
    }
  }
}
