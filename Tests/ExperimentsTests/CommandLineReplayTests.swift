import Foundation
import Testing

/// `--record` and `heliostat replay`, as from a terminal.
@Suite("recordings on the command line", .timeLimit(.minutes(10)))
struct CommandLineReplayTests {
  private static let quick = Sandbox.base.replacing("500ms", with: "1ms")

  private func recorded(_ arguments: String...) throws -> Sandbox {
    let sandbox = try Sandbox(["w.yaml": Self.quick])
    let run = try sandbox.run(["run", "w.yaml", "--seed", "1", "--record", "kept"] + arguments)
    #expect(run.code == 0, "\(run.errors)")
    return sandbox
  }

  private func lines(_ outcome: Sandbox.Outcome) throws -> [[String: Any]] {
    try outcome.outputLines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  @Test(
    "a run is recorded and replays to the same, in every world",
    arguments: [[], ["--world", "real"], ["--world", "real", "--nodes", "2"]])
  func everyWorld(world: [String]) throws {
    let sandbox = try Sandbox(["w.yaml": Self.quick])
    let run = try sandbox.run(
      ["run", "w.yaml", "--seed", "1", "--record", "kept"] + world
        + (world.isEmpty ? [] : ["--cpus", "2"]))
    #expect(run.code == 0, "\(run.errors)")
    let files = try FileManager.default.contentsOfDirectory(
      atPath: sandbox.folder.appendingPathComponent("kept").path
    ).sorted()
    switch world.count {
    case 0: #expect(files == ["simulated.heliorec"])
    case 2: #expect(files == ["node-0.heliorec"])
    default: #expect(files == ["driver.heliorec", "node-0.heliorec", "node-1.heliorec"])
    }
    let replay = try sandbox.run(["replay", "kept", "--json"])
    #expect(replay.code == 0, "\(replay.errors)\(replay.output)")
    let machines = try lines(replay)
    #expect(machines.count >= 4)
    for machine in machines {
      #expect(machine["same"] as? Bool == true)
      #expect(machine["complete"] as? Bool == true)
    }
    let names = Set(machines.compactMap { $0["machine"] as? String })
    #expect(names.isSuperset(of: ["raylet 0", "global scheduler 0", "GCS replica 0", "driver 0"]))
  }

  @Test("another policy ends with code 1 and both effects; --machine leaves the others out")
  func difference() throws {
    let sandbox = try recorded("--world", "real", "--cpus", "2")
    let other = try sandbox.run(["replay", "kept", "--policy", "spillover=AlwaysEscalate"])
    #expect(other.code == 1)
    #expect(other.output.contains("DIFFERS"))
    #expect(other.output.contains("First difference of raylet 0"))
    #expect(other.output.contains("replayed: send global scheduler 0: task-escalated"))
    let one = try sandbox.run(
      ["replay", "kept", "--policy", "spillover=AlwaysEscalate", "--machine", "replica 0"])
    #expect(one.code == 0)
    #expect(!one.output.contains("raylet 0"))
  }

  @Test("the conversation is printed in words, between two times, and as JSON")
  func listing() throws {
    let sandbox = try recorded()
    let all = try sandbox.run(["replay", "kept", "--print"])
    #expect(all.code == 0)
    for text in ["call submit task", ": task-submitted task", "task-finished", "call get"] {
      #expect(all.output.contains(text), "\(text)")
    }
    let machine = ["replay", "kept", "--print", "--machine", "raylet 0", "--json"]
    let whole = try lines(try sandbox.run(machine))
    let part = try lines(try sandbox.run(machine + ["--from", "1ms", "--to", "4ms"]))
    #expect(!part.isEmpty && part.count < whole.count)
    for line in part {
      let time = try #require(line["nanoseconds"] as? Int)
      #expect((1_000_000..<4_000_000).contains(time))
      #expect(line["machine"] as? String == "raylet 0")
    }
  }

  @Test("the machines of a recording are listed; of one that hears nothing then, nothing is shown")
  func machines() throws {
    let sandbox = try recorded("--world", "real", "--nodes", "2", "--cpus", "1")
    for mode in [[], ["--print"], ["--print", "--json"]] {
      let other = try sandbox.run(["replay", "kept", "--machine", "replica 7"] + mode)
      #expect(other.code == 2)
      #expect(other.output == "")
      let list = try #require(other.errors.components(separatedBy: "there are: ").last)
      let machines = list.dropLast().components(separatedBy: ", ")
      #expect(machines.count { $0.hasPrefix("raylet ") } == 2, "\(machines)")
      for machine in machines {
        #expect(try sandbox.run(["replay", "kept", "--machine", machine] + mode).code == 0)
      }
    }
    let late = try sandbox.run(
      "replay", "kept", "--print", "--machine", "raylet 1", "--from", "1000s")
    #expect(late.code == 0 && late.output == "" && late.errors == "")
  }

  @Test("what a driver of the real world hears has the time at which it heard it")
  func driverTimes() throws {
    // A chain of eight tasks of 20 ms.
    let sandbox = try Sandbox(["w.yaml": Sandbox.base.replacing("500ms", with: "20ms")])
    let run = try sandbox.run(
      "run", "w.yaml", "--seed", "1", "--world", "real", "--cpus", "2", "--record", "kept")
    #expect(run.code == 0, "\(run.errors)")
    let heard = try lines(
      try sandbox.run("replay", "kept", "--print", "--machine", "driver 0", "--json"))
    func time(_ text: String) throws -> Int {
      let line = heard.last { ($0["input"] as? String)?.hasPrefix(text) == true }
      return try #require(line?["nanoseconds"] as? Int, "\(heard)")
    }
    #expect(try time("object-ready") - time("call get") >= 100_000_000)
  }

  @Test(
    "what a dead process left is replayed as far as it goes; damage is bad input, with its place")
  func broken() throws {
    let sandbox = try recorded("--world", "real", "--cpus", "2")
    let file = sandbox.folder.appendingPathComponent("kept/node-0.heliorec")
    let bytes = try Data(contentsOf: file)
    try sandbox.write("left/node-0.heliorec.part", Data(bytes.dropLast(200)))
    let left = try sandbox.run(["replay", "left"])
    #expect(left.code == 0, "\(left.errors)")
    #expect(left.output.contains("not finished"))
    var damaged = bytes
    damaged[bytes.count / 2] ^= 4
    try sandbox.write("damaged.heliorec", damaged)
    for (arguments, text) in [
      (["damaged.heliorec"], "damaged.heliorec: at byte"), (["w.yaml"], "this is no recording"),
      (["nowhere"], "no such file"), (["."], "damaged"),
      (["kept", "--machine", "raylet"], "expected a role and a number"),
      (["kept", "--machine", "raylet 9"], "no recording has raylet 9; there are: driver 0, "),
      (
        ["kept", "--print", "--machine", "raylet 9"],
        "no recording has raylet 9; there are: driver 0, "
      ),
      (["kept", "--policy", "spillover=Nonsense"], "unknown spillover policy"),
      (["kept", "--policy", "nonsense=FIFO"], "there are spillover"),
      (["kept", "--from", "1ms"], "--print"), (["kept", "--print", "--to", "soon"], "a time"),
    ] {
      let outcome = try sandbox.run(["replay"] + arguments)
      #expect(outcome.code == 2, "\(arguments)")
      #expect(outcome.errors.contains(text), "\(arguments): \(outcome.errors)")
    }
  }
}
