/// Progressive filling, only where something changed.
///
/// All rates rise together from zero; a link *saturates* when its capacity is used up, and then its
/// flows that still rise *freeze* at its level: it is their bottleneck. So a link's level depends
/// only on flows frozen at lower levels. When a flow starts or ends, the links it crosses are
/// affected; an affected link's own flows (those it holds back) thaw, and the other links they
/// cross, whose levels are higher, are affected in turn. Nothing else is touched, except where an
/// affected link's new level falls below the rate of a flow frozen elsewhere: then that flow's
/// bottleneck is affected too. Affected links saturate in order of level, so such a thaw never
/// reaches what this solution has already frozen.
///
/// The result is the unique max-min fair one: every flow keeps a saturated link on which no flow is
/// faster (Bertsekas and Gallager, section 6.5.2).
extension MaxMinNetwork {
  /// Gives every flow its rate from `clock` on.
  @inline(never)
  mutating func solve() {
    thawAffected(from: 0)
    queue.reset()
    for index in 0..<affected.count { gather(Int(affected[index])) }
    queue.distribute()

    let now = Double(clock)
    let links = links
    var level = 0.0
    while queue.fill({ Self.refresh($0, links) }) {
      let entry = queue.top
      let link = Int(entry.link)
      let unfrozen = links[link].unfrozen
      if unfrozen == 0 {
        links[link].queuedKey = .infinity
        queue.removeTop()
        continue
      }
      let share = links[link].spare / Double(unfrozen)
      if share > entry.key {
        links[link].queuedKey = share
        queue.raiseTop(to: share)
        continue
      }
      if share >= flowCap { break }
      let candidate = max(share, level)
      // A level that did not fall is still above all flows that others hold back.
      if candidate < links[link].ceiling, thawFaster(than: candidate, on: link) { continue }
      level = candidate
      queue.removeTop()
      links[link].level = level
      freeze(entry.link, at: level, bottleneck: entry.link, now: now)
    }
    // What no link holds back runs at the cap of one flow.
    for index in 0..<affected.count where links[Int(affected[index])].unfrozen > 0 {
      freeze(affected[index], at: flowCap, bottleneck: Flow.flowCap, now: now)
    }
    for index in 0..<affected.count {
      let link = links + Int(affected[index])
      link.pointee.isAffected = false
      link.pointee.queuedKey = .infinity
    }
    affected.removeAll()
  }

  /// Thaws the flows that affected links hold back, from the given one on, until no link is added.
  private mutating func thawAffected(from first: Int) {
    var index = first
    while index < affected.count {
      let number = affected[index]
      let link = links + Int(number)
      // Infinite: it holds back none.
      link.pointee.ceiling = link.pointee.level
      if link.pointee.level < .infinity {
        link.pointee.level = .infinity
        let (list, held) = (link.pointee.crossings, link.pointee.held)
        let rate = link.pointee.ceiling
        for place in 0..<Int(held) { thaw(list[place], rate: rate, except: number) }
        // Once for all: a sum in memory, flow by flow, would be a chain of waits.
        link.pointee.spare += rate * Double(held)
        link.pointee.unfrozen += held
        link.pointee.held = 0
      }
      index += 1
    }
  }

  /// Returns a flow's rate to the links it crosses, except the one that held it back.
  @inline(__always)
  private mutating func thaw(_ crossing: Crossing, rate: Double, except bottleneck: Int32) {
    let flow = flows + crossing.slot
    flow.pointee.bottleneck = Flow.unfrozen
    if crossing.other >= 0 {
      thaw(rate, on: crossing.other)
      return
    }
    for hop in 0..<Int(flow.pointee.hops) where flow.path[hop] != bottleneck {
      thaw(rate, on: flow.path[hop])
    }
  }

  @inline(__always)
  private mutating func thaw(_ rate: Double, on number: Int32) {
    let link = links + Int(number)
    link.pointee.spare += rate
    link.pointee.unfrozen &+= 1
    if !link.pointee.isAffected {
      link.pointee.isAffected = true
      affected.append(number)
    }
  }

  private mutating func gather(_ number: Int) {
    let link = links + number
    if link.pointee.unfrozen == 0 { return }
    refreshSpare(number)
    let share = link.pointee.spare / Double(link.pointee.unfrozen)
    link.pointee.queuedKey = share
    queue.gather(.init(key: share, link: Int32(number)))
  }

  /// The key of a queued link now; `nil` when none of its flows rises any more.
  @inline(__always)
  private static func refresh(
    _ entry: LinkQueue.Entry, _ links: UnsafeMutablePointer<Link>
  ) -> Double? {
    let link = links + Int(entry.link)
    if link.pointee.unfrozen == 0 {
      link.pointee.queuedKey = .infinity
      return nil
    }
    let share = link.pointee.spare / Double(link.pointee.unfrozen)
    if share <= entry.key { return entry.key }
    link.pointee.queuedKey = share
    return share
  }

  /// Keeps rounding errors of `spare` from adding up over a long run.
  @inline(__always)
  private func refreshSpare(_ number: Int) {
    let link = links + number
    if link.pointee.unfrozen == link.pointee.flowCount {
      link.pointee.spare = link.pointee.capacity
      link.pointee.age = 0
      return
    }
    link.pointee.age += 1
    if link.pointee.age < 1024 { return }
    var spare = link.pointee.capacity
    for place in 0..<Int(link.pointee.flowCount) {
      let slot = link.pointee.crossings[place].slot
      if flows[slot].bottleneck != Flow.unfrozen { spare -= flows[slot].rate }
    }
    link.pointee.spare = spare
    link.pointee.age = 0
  }

  /// Freezes the link's rising flows at `rate`.
  @inline(__always)
  private mutating func freeze(
    _ number: Int32, at rate: Double, bottleneck: Int32, now: Double
  ) {
    let (links, flows) = (links, flows)
    let list = links[Int(number)].crossings
    let nanosecondsPerByte = 1 / rate
    var (place, rising) = (0, links[Int(number)].unfrozen)
    while rising > 0 {
      let crossing = list[place]
      let flow = flows + crossing.slot
      if flow.pointee.bottleneck == Flow.unfrozen {
        rising &-= 1
        flow.pointee.bottleneck = bottleneck
        if bottleneck != Flow.flowCap { hold(place, on: links + Int(number)) }
        if crossing.other >= 0 {
          links[Int(crossing.other)].spare -= rate
          links[Int(crossing.other)].unfrozen &-= 1
        } else {
          for hop in 0..<Int(flow.pointee.hops) where flow.path[hop] != number {
            links[Int(flow.path[hop])].spare -= rate
            links[Int(flow.path[hop])].unfrozen &-= 1
          }
        }
        if flow.pointee.rate != rate {
          let elapsed = now - flow.pointee.since
          let remaining = flow.pointee.remaining - flow.pointee.rate * elapsed
          flow.pointee.rate = rate
          flow.pointee.remaining = remaining
          flow.pointee.since = now
          completions.set(crossing.slot, remaining > 0 ? now + remaining * nanosecondsPerByte : now)
        }
      }
      place &+= 1
    }
    links[Int(number)].spare -= rate * Double(links[Int(number)].unfrozen)
    links[Int(number)].unfrozen = 0
  }

  /// Finds the fastest flows on the link that others hold back. When they are faster than `level`,
  /// thaws what holds them back and returns true.
  private mutating func thawFaster(than level: Double, on number: Int) -> Bool {
    let (list, count) = (links[number].crossings, Int(links[number].flowCount))
    var fastest = level
    for place in 0..<count {
      let slot = list[place].slot
      if flows[slot].bottleneck != Flow.unfrozen, flows[slot].rate > fastest {
        fastest = flows[slot].rate
      }
    }
    if fastest <= level { return false }
    let first = affected.count
    var capped: Int32 = 0
    for place in 0..<count {
      let slot = list[place].slot
      let bottleneck = flows[slot].bottleneck
      if bottleneck == Flow.unfrozen || flows[slot].rate < fastest { continue }
      if bottleneck == Flow.flowCap {
        capped += 1
        thaw(list[place], rate: flowCap, except: Int32(number))
      } else if !links[Int(bottleneck)].isAffected {
        links[Int(bottleneck)].isAffected = true
        affected.append(bottleneck)
      }
    }
    links[number].spare += flowCap == .infinity ? 0 : flowCap * Double(capped)
    links[number].unfrozen += capped
    thawAffected(from: first)
    // A thaw may lower a share below its key; the queue needs lower bounds.
    for index in 0..<affected.count {
      let link = links + Int(affected[index])
      if link.pointee.unfrozen == 0 { continue }
      let share = link.pointee.spare / Double(link.pointee.unfrozen)
      if share < link.pointee.queuedKey {
        link.pointee.queuedKey = share
        queue.push(.init(key: share, link: affected[index]))
      }
    }
    return true
  }
}
