import Primitives
import RuntimeCore

@testable import WireFormat

/// How a cluster of separate processes goes on, turn by turn.
extension SeparateTablesCluster {
  /// Lets a machine hear a fact, and the machines of its process all that follows there.
  func deliver(_ message: Message, from source: Address, to target: Address) {
    let process = processes[home(target)]
    process.local.append(Envelope(message: message, source: source, target: target))
    while !process.local.isEmpty {
      let next = process.local.removeFirst()
      hear(next)
      perform(from: next.target)
    }
  }

  private func hear(_ envelope: Envelope) {
    let (message, source) = (envelope.message, envelope.source)
    let number = envelope.target.number
    switch envelope.target.role {
    case .raylet:
      raylets[number].receive(message, from: source, at: now, into: &effects)
      raylets[number].checkInvariants()
    case .globalScheduler:
      schedulers[number].receive(message, from: source, at: now, into: &effects)
    case .replica:
      replicas[number].receive(message, from: source, at: now, into: &effects)
      replicas[number].checkInvariants()
    case .driver: drivers[number].receive(message, from: source, at: now, into: &effects)
    }
  }

  /// The process has nothing more to do in this turn: names that came in frames need not be held.
  func endTurn(_ number: Int) {
    let process = processes[number]
    while !process.local.isEmpty {
      let next = process.local.removeFirst()
      hear(next)
      perform(from: next.target)
    }
    releaseBorrowed(&process.borrowed, in: process.specs)
  }

  /// One random turn; false when only heartbeats are left.
  func step() -> Bool { step(finishing: true) }

  /// One random turn in which no worker ends its task; false when there is none.
  func stepWithoutFinishing() -> Bool { step(finishing: false) }

  private func step(finishing: Bool) -> Bool {
    let full = wires.indices.filter { !wires[$0].frames.isEmpty || wires[$0].isClosing }
    let busy = finishing ? workers.indices.filter { !workers[$0].tasks.isEmpty } : []
    if full.isEmpty && loose.isEmpty && busy.isEmpty { return false }
    now += .microseconds(1)
    if below(50) == 0 && !background.isEmpty {
      let (message, address) = background.remove(at: below(background.count))
      deliver(message, from: address, to: address)
      endTurn(home(address))
    }
    var choice = below(
      full.count + (loose.isEmpty ? 0 : 1 + full.count / 2) + (busy.isEmpty ? 0 : 1))
    if choice < full.count {
      read(wires[full[choice]])
      return true
    }
    choice -= full.count
    if !busy.isEmpty && (choice == 0 || loose.isEmpty) {
      finishTask(busy[below(busy.count)])
    } else {
      carryOut(loose.remove(at: below(loose.count)))
    }
    return true
  }

  /// A turn of a process in which it reads some frames of one or two peers.
  private func read(_ wire: Wire) {
    readFrames(wire)
    let others = wires.filter { $0.to == wire.to && !$0.frames.isEmpty }
    if !others.isEmpty && below(3) == 0 { readFrames(others[below(others.count)]) }
    endTurn(wire.to)
  }

  private func readFrames(_ wire: Wire) {
    let process = processes[wire.to]
    for _ in 0...below(4) {
      if wire.frames.isEmpty {
        if wire.isClosing { closed(wire) }
        return
      }
      let frame = wire.frames.removeFirst()
      if wire.frames.isEmpty { wire.writer.removeAll() }
      do {
        let header = try frame.withUnsafeBytes { try FrameHeader(reading: $0) }
        var message = try frame.withUnsafeBytes {
          try wire.decoder.message(header, $0, borrowing: &process.borrowed)
        }
        deliver(message, from: header.source, to: header.target)
        for _ in 0..<header.repeats {
          message = try wire.decoder.successor(of: message, borrowing: &process.borrowed)
          deliver(message, from: header.source, to: header.target)
        }
      } catch {
        preconditionFailure("a frame was refused: \(error)")
      }
    }
  }

  func finishTask(_ place: Int) {
    let queue = workers[place]
    let task = workers[place].tasks.removeFirst()
    let specs = processes[homes.raylets[queue.node]].specs
    if stopped.contains(specs[task].id) {
      let raylet = Address.raylet(NodeID(queue.node))
      deliver(.taskFinished(task, queue.worker, .taskCancelled), from: raylet, to: raylet)
      endTurn(homes.raylets[queue.node])
      return
    }
    let fails = specs[task].function.index == 13
    if !fails && plan.sizesVary {
      for index in 0..<Int32(specs[task].returns) {
        specs.setOutputSize(
          ByteCount(UInt64(below(50))), of: ObjectHandle(producer: task, index: index))
      }
    }
    let raylet = Address.raylet(NodeID(queue.node))
    deliver(
      .taskFinished(task, queue.worker, fails ? .taskFailed : .value), from: raylet, to: raylet)
    endTurn(homes.raylets[queue.node])
  }

  /// What has not begun does not; what runs heeds it or not.
  func askedToStop(_ task: TaskHandle, on worker: WorkerID, of node: Int) {
    guard let queue = workers.first(where: { $0.node == node && $0.worker == worker }),
      let place = queue.tasks.firstIndex(of: task), place > 0 || below(2) == 0
    else { return }
    stopped.insert(processes[homes.raylets[node]].specs[task].id)
  }

  private func carryOut(_ step: Loose) {
    switch step {
    case .own(let message, let address):
      if case .workerStarted(let worker) = message {
        workers.append(WorkerQueue(node: address.number, worker: worker, tasks: []))
      }
      deliver(message, from: address, to: address)
      endTurn(home(address))
    case .chunk(let chunk):
      let there = homes.raylets[Int(chunk.to.index)]
      let process = processes[there]
      // A node takes no chunks that it does not wait for.
      guard !process.isDead, let producer = process.specs.find(chunk.object.producer) else {
        return
      }
      let object = ObjectHandle(producer: producer, index: chunk.object.index)
      guard raylets[Int(chunk.to.index)].isPulling(object) else { return }
      process.specs.retain(producer)
      process.borrowed.append(producer)
      deliver(
        .chunkArrived(object, index: chunk.index, count: chunk.count, chunk.status, chunk.size),
        from: .raylet(chunk.from), to: .raylet(chunk.to))
      endTurn(there)
    }
  }

  /// Every node sends a heartbeat to every scheduler, and all that follows happens.
  func beat() {
    let due = background
    background = []
    for (message, address) in due {
      deliver(message, from: address, to: address)
      endTurn(home(address))
    }
    run()
  }

  func run() { while step() {} }

  /// Runs until no look-up is on its way.
  func runUntilLookedUp() {
    let kind = MessageKind.objectLookedUp.rawValue
    while wires.contains(where: { $0.frames.contains { $0[4] == kind } }) && step() {}
  }
}
