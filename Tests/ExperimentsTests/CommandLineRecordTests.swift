import Foundation
import Testing

/// Where `--record` may write, as from a terminal: recordings of two runs are never mixed.
@Suite("folders of recordings on the command line", .timeLimit(.minutes(10)))
struct CommandLineRecordTests {
  private static let quick = Sandbox.base.replacing("500ms", with: "1ms")

  private func contents(_ sandbox: Sandbox, _ names: [String]) throws -> [Data] {
    try names.map { try Data(contentsOf: sandbox.folder.appendingPathComponent($0)) }
  }

  @Test(
    "a second run into the same folder is refused before it starts; --overwrite removes the first",
    arguments: [
      ([], ["kept/simulated.heliorec"]),
      (["--set", "seeds=2"], (1...2).map { "kept/cell-0-seed-\($0)/simulated.heliorec" }),
      (["--world", "real", "--cpus", "1"], ["kept/node-0.heliorec"]),
    ])
  func twice(_ options: [String], _ names: [String]) throws {
    let sandbox = try Sandbox(["w.yaml": Self.quick, "kept/notes.txt": "mine"])
    let arguments = ["run", "w.yaml", "--record", "kept", "--out", "first"] + options
    #expect(try sandbox.run(arguments).code == 0)
    let first = try contents(sandbox, names)
    let before = sandbox.listing()

    for world in [options, ["--seed", "7"], ["--world", "real", "--nodes", "2"]] {
      let second = try sandbox.run(
        ["run", "w.yaml", "--record", "kept", "--out", "second"] + world)
      #expect(second.code == 2)
      #expect(
        second.errors.hasPrefix("error: --record kept: it holds recordings of an earlier run ("))
      #expect(second.errors.contains("choose another folder, or give --overwrite"))
      #expect(second.output == "")
    }
    #expect(sandbox.listing() == before)
    #expect(try contents(sandbox, names) == first)

    let third = try sandbox.run(
      "run", "w.yaml", "--seed", "3", "--record", "kept", "--out", "third", "--overwrite")
    #expect(third.code == 0, "\(third.errors)")
    #expect(sandbox.files(in: "kept") == ["notes.txt", "simulated.heliorec"])
    #expect(try sandbox.read("kept/notes.txt") == "mine")
    #expect(try sandbox.run("replay", "kept").code == 0)
  }

  @Test("--overwrite removes recordings of runs alone, and with anything else in the way nothing")
  func onlyRecordings() throws {
    let sandbox = try Sandbox(["w.yaml": Self.quick])
    func run(_ options: String...) throws -> Sandbox.Outcome {
      try sandbox.run(["run", "w.yaml", "--trace", "0", "--out", "r"] + options)
    }
    #expect(try run("--record", "all/mine").code == 0)
    let inner = try run("--record", "all", "--overwrite")
    #expect(inner.code == 2)
    #expect(inner.errors.contains("mine/simulated.heliorec lies in a folder of its own"))
    try sandbox.write("all/mine/other.heliorec", "HELIO, but not a recording")
    let other = try run("--record", "all/mine", "--overwrite")
    #expect(other.code == 2)
    #expect(other.errors.contains("other.heliorec has the name of a recording and is none"))
    #expect(sandbox.files(in: "all/mine") == ["other.heliorec", "simulated.heliorec"])
    // What a killed process left at once.
    try sandbox.write("left/node-3.heliorec.part", "")
    #expect(try run("--record", "left").code == 2)
    #expect(try run("--record", "left", "--overwrite").code == 0)
    #expect(sandbox.files(in: "left") == ["simulated.heliorec"])
  }

  @Test("a run, node or cluster that does not begin to record leaves what --overwrite would remove")
  func nothingBegins() throws {
    let sandbox = try Sandbox(["w.yaml": Self.quick, "words.yaml": Sandbox.words])
    #expect(
      try sandbox.run("run", "w.yaml", "--record", "kept", "--set", "seeds=2", "--out", "r").code
        == 0)
    // What a killed run left has the name that a new one would write to.
    let whole = try contents(sandbox, ["kept/cell-0-seed-1/simulated.heliorec"])
    for name in ["driver", "node-0"] {
      try sandbox.write("kept/\(name).heliorec.part", whole[0].prefix(100))
    }
    let before = sandbox.listing()
    let names = before.filter { $0.hasPrefix("kept/") && $0.contains(".heliorec") }
    #expect(names.count == 4)
    let recordings = try contents(sandbox, names)
    let (node, address, _) = try sandbox.node("--workload", "words.yaml")
    let connecting = ["run", "w.yaml", "--world", "real", "--connect"]
    for (arguments, says) in [
      (["run", "v.yaml"], "there is no file"),
      (connecting + ["127.0.0.1:1"], "nobody listens"), (connecting + [address], "no link to"),
      (["node", "--listen", address], "--listen"),
      (["node", "--listen", "127.0.0.1:0", "--join", "127.0.0.1:1"], "127.0.0.1:1"),
      (["cluster", "--listen", address], "before it was ready"),
    ] {
      let outcome = try sandbox.run(arguments + ["--record", "kept", "--overwrite"])
      #expect(outcome.code != 0)
      #expect(outcome.errors.contains(says), "\(arguments): \(outcome.errors)")
      #expect(sandbox.listing() == before)
      #expect(try contents(sandbox, names) == recordings)
    }
    #expect(node.end(SIGTERM) == 0)

    // Two clusters one after the other: the head of the first makes room for both.
    let last = try sandbox.run(
      "run", "w.yaml", "--world", "real", "--nodes", "2", "--record", "kept", "--overwrite",
      "--set", "seeds=2", "--out", "real")
    #expect(last.code == 0, "\(last.errors)")
    let files = ["driver.heliorec", "node-0.heliorec", "node-1.heliorec"]
    #expect(sandbox.files(in: "kept") == ["cell-0-seed-1", "cell-0-seed-2"])
    for seed in 1...2 { #expect(sandbox.files(in: "kept/cell-0-seed-\(seed)") == files) }
    #expect(try sandbox.run("replay", "kept").code == 0)
  }

  @Test(
    "a folder that cannot be had is said with the reason and what to do",
    arguments: [
      ("/proc/x", "--record /proc/x: the folder cannot be made: No such file", "another place"),
      ("w.yaml", "--record w.yaml: it is a file", "expected a folder"),
      ("w.yaml/x", "--record w.yaml/x: the folder cannot be made: Not a directory", "another"),
      ("Results/sums", "the result comes into Results/sums", "another folder"),
      ("Results/sums/rec", "the result comes into Results/sums", "another folder"),
    ])
  func impossible(_ folder: String, _ reason: String, _ advice: String) throws {
    let sandbox = try Sandbox()
    let before = sandbox.listing()
    let outcome = try sandbox.run("run", "w.yaml", "--record", folder)
    #expect(outcome.code == 2)
    #expect(outcome.errors.contains(reason), "\(outcome.errors)")
    #expect(outcome.errors.contains(advice), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1)
    #expect(outcome.output == "" && sandbox.listing() == before)
  }

  @Test("nodes of one cluster share a folder; a later node or cluster is refused, or overwrites")
  func nodes() throws {
    let sandbox = try Sandbox()
    let cluster = try sandbox.nodes(2, ["--record", "kept"])
    #expect(sandbox.files(in: "kept") == ["node-0.heliorec.part", "node-1.heliorec.part"])
    for arguments in [
      ["run", "w.yaml", "--overwrite"], ["cluster", "--overwrite", "--listen", "127.0.0.1:0"],
    ] {
      let busy = try sandbox.run(arguments + ["--record", "kept"])
      #expect(busy.code == 2)
      #expect(busy.errors.contains("is being written by another process"), "\(busy.errors)")
    }
    // A head of another cluster that has the same number.
    let head = try sandbox.run("node", "--listen", "127.0.0.1:0", "--record", "kept")
    #expect(head.code != 0)
    #expect(
      head.errors.contains("node-0.heliorec.part is being written by another process"),
      "\(head.errors)")
    cluster.end()
    #expect(sandbox.files(in: "kept") == ["node-0.heliorec", "node-1.heliorec"])
    #expect(try sandbox.run("replay", "kept").code == 0)

    for arguments in [["node"], ["cluster", "--nodes", "1"]] {
      let later = try sandbox.run(arguments + ["--record", "kept", "--listen", "127.0.0.1:0"])
      #expect(later.code == 2)
      #expect(later.errors.contains("it holds recordings of an earlier run (node-0.heliorec)"))
      let alone = try sandbox.run(arguments + ["--overwrite", "--listen", "127.0.0.1:0"])
      #expect(alone.code == 2 && alone.errors.contains("give --record"), "\(alone.errors)")
    }
    let again = try sandbox.nodes(1, ["--record", "kept", "--overwrite"])
    #expect(sandbox.files(in: "kept") == ["node-0.heliorec.part"])
    again.end()
  }
}
