import Dispatch
import Foundation
import RealWorld

/// A cluster of node processes on this machine, which this process starts and ends.
public final class LocalCluster: @unchecked Sendable {
  public struct Node: Sendable {
    /// Its number in the cluster; 0 is the head.
    public let number: Int
    public let process: Int32
    public let endpoint: Endpoint
    /// What it has, in words.
    public let resources: String
  }

  public let nodes: [Node]
  /// Until the last node was ready.
  public let startSeconds: Double
  private let children: [ChildProcess]
  private let lock = NSLock()
  private var isStopping = false

  /// Starts a process for each entry of `flags` by `command` and its flags, the first as the head, and
  /// returns when all are ready. They are told to end with this process, however it ends.
  ///
  /// - Parameters:
  ///   - command: the program and its arguments that make a node, in front of the flags.
  ///   - resources: what each node has, in words.
  /// - Throws: `LocalClusterError` when a process cannot be started or ends before it is ready; what it
  ///   has to say of that is on standard error.
  public init(
    command: [String], flags: [[String]], resources: [String], head: String = "127.0.0.1:0"
  ) throws {
    let begin = DispatchTime.now().uptimeNanoseconds
    var children: [ChildProcess] = []
    var nodes: [Node] = []
    // The head first: its address is what the others join; and these one after the other, so that
    // they get their numbers in order.
    for (index, flags) in flags.enumerated() {
      var line = command + ["--until-stdin-closes"] + flags
      if let first = nodes.first {
        line += ["--listen", "\(first.endpoint.besides)", "--join", "\(first.endpoint)"]
      } else {
        line += ["--listen", head]
      }
      do {
        let child = try ChildProcess(line)
        children.append(child)
        nodes.append(try Self.ready(child, index, resources[index]))
      } catch {
        for child in children.reversed() { child.stop() }
        throw error
      }
    }
    self.children = children
    self.nodes = nodes
    startSeconds = Double(DispatchTime.now().uptimeNanoseconds - begin) * 1e-9
  }

  deinit { stop() }

  /// Reads `node 1 of cluster 'heliostat' listens on 127.0.0.1:40123`.
  private static func ready(
    _ child: ChildProcess, _ index: Int, _ resources: String
  ) throws -> Node {
    guard let line = child.readLine(seconds: 60) else {
      if let status = child.wait(seconds: 1) {
        throw LocalClusterError(
          "node \(index) (process \(child.identifier)) \(ChildProcess.describe(status)) before it "
            + "was ready; see its message above")
      }
      throw LocalClusterError("node \(index) (process \(child.identifier)) was not ready in 60 s")
    }
    let words = line.split(separator: " ")
    guard words.count > 2, words[0] == "node", let number = Int(words[1]), let last = words.last,
      let endpoint = try? Endpoint(parsing: String(last))
    else { throw LocalClusterError("process \(child.identifier) is no node: it says '\(line)'") }
    return Node(
      number: number, process: child.identifier, endpoint: endpoint, resources: resources)
  }

  public var head: Endpoint { nodes[0].endpoint }

  /// Has `body` called with a sentence for each node that ends without having been told to, and
  /// whether it was the head.
  public func whenNodeEnds(_ body: @escaping @Sendable (String, Bool) -> Void) {
    for (child, node) in zip(children, nodes) {
      child.whenEnded { [weak self] status in
        guard let self, !self.lock.withLock({ self.isStopping }) else { return }
        let how = ChildProcess.describe(status)
        body("node \(node.number) (process \(node.process)) \(how)", node.number == 0)
      }
    }
  }

  /// Tells the head to let the whole cluster finish and end: no programs are taken any more, and those
  /// that are there, and their tasks, have as long as the head's `--grace` says. To be followed by
  /// `stop`.
  ///
  /// - Parameter body: called when the head has ended.
  public func finish(_ body: @escaping @Sendable () -> Void) {
    lock.withLock { isStopping = true }
    children[0].send(SIGTERM)
    children[0].whenEnded { _ in body() }
  }

  /// How the head ended; nil while it is there.
  public var headEnd: ExitStatus? { children[0].wait(seconds: 0).map { ExitStatus($0) } }

  /// Ends all nodes whatever they do, and waits for that.
  public func stopAtOnce() {
    lock.withLock { isStopping = true }
    for child in children { child.closeInput() }
    for child in children { _ = child.wait(seconds: 0.1) }
    // Those that have long tasks, or had begun to finish: now it is their last word.
    for child in children { child.send(SIGTERM) }
    stop()
  }

  /// Ends all nodes, the head last, and waits for that. What runs is not waited for.
  public func stop() {
    lock.withLock { isStopping = true }
    for child in children.dropFirst() { child.closeInput() }
    for child in children.dropFirst() { child.stop() }
    children.first?.stop()
  }
}
