import Foundation
import Testing

@testable import Workload

@Suite("Broken YAML gives one clear message")
struct FileSyntaxTests {
  @Test(
    "a file that is no YAML mapping names the place and the way out",
    arguments: [
      ("", "w.yaml:1:1: the file is empty; expected a mapping of keys to values"),
      ("# only a comment\n", "w.yaml:1:1: the file is empty; expected a mapping of keys to values"),
      ("---\n", "w.yaml:2:1: the file is empty; expected a mapping of keys to values"),
      ("- a\n- b\n", "w.yaml:1:1: the file is a list; expected a mapping of keys to values"),
      ("just text", "w.yaml:1:1: the file is 'just text'; expected a mapping of keys to values"),
      (
        "a:\n\tb: 1\n",
        "w.yaml:2:1: a tab cannot indent YAML; expected spaces; replace the tab by spaces"
      ),
      (
        "a:\n  b: 1\n \tc: 1\n",
        "w.yaml:3:2: a tab cannot indent YAML; expected spaces; replace the tab by spaces"
      ),
      (
        "a: [,]\n",
        "w.yaml:1:5: not valid YAML: did not find expected node content; write the value that is "
          + "missing here"
      ),
      (
        "a: \"\\q\"\n",
        "w.yaml:1:5: not valid YAML: found unknown escape character; check this line; a value "
          + "with special characters needs quotes"
      ),
      (
        "a: 1\nb: 2\na: 3\n",
        "w.yaml:1:1: key 'a' is given twice in this mapping; this is the first; keep one"
      ),
      (
        "a: exponential(mean: 5ms)\n",
        "w.yaml:1:20: not valid YAML: mapping values are not allowed in this context; "
          + "check the indentation, and put quotes around a value that contains ': '"
      ),
      (
        "a: [1, 2\nb: 3\n",
        "w.yaml:2:2: not valid YAML: did not find expected ',' or ']' (while parsing a flow "
          + "sequence that begins in line 1); close the bracket, and put quotes around a value "
          + "that contains , [ ] { or }"
      ),
      (
        "a: 'open\n",
        "w.yaml:2:1: not valid YAML: found unexpected end of stream (while scanning a quoted "
          + "scalar that begins in line 1); close the quotes"
      ),
      (
        "a: @x\n",
        "w.yaml:1:4: not valid YAML: found character that cannot start any token; "
          + "put quotes around the value"
      ),
      (
        "a: *b\n",
        "w.yaml:1:4: not valid YAML: found undefined alias; define it before with &name"
      ),
      (
        "a: 1\n---\nb: 2\n",
        "w.yaml:2:1: a second document begins here; expected one document in a file; "
          + "remove this '---'"
      ),
      ("a: 1\nb: \u{7}\n", "w.yaml:2:4: the character U+7 is not allowed in YAML; remove it"),
      ("? [a]\n: 1\n", "w.yaml:1:3: a key must be a plain word; put quotes around the key"),
      (
        "a: &x 1\n<<: *x\n",
        "w.yaml:1:4: '<<' merges mappings only; expected *name"
      ),
    ])
  func syntax(text: String, expected: String) {
    #expect(
      message { () throws(WorkloadError) in
        _ = try PositionedValue(SourceNode.parse(text, file: "w.yaml"), path: "").mapping()
      } == expected)
  }

  @Test("deep nesting is refused, whether in brackets or in blocks")
  func deep() {
    let texts = [
      "a: " + String(repeating: "[", count: 100) + String(repeating: "]", count: 100),
      "a: " + String(repeating: "[", count: 100_000),
      String(repeating: "- ", count: 20_000) + "x",
      "a: " + String(repeating: "{b: ", count: 900) + "1" + String(repeating: "}", count: 900),
    ]
    for text in texts {
      let text = message { () throws(WorkloadError) in
        _ = try SourceNode.parse(text, file: "w.yaml")
      }
      #expect(text?.contains("nested too deeply") == true, "\(text ?? "no error")")
    }
  }

  @Test("aliases that repeat aliases stop at a bound")
  func bomb() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in 1...8 {
      text +=
        "a\(i): &a\(i) [" + [String](repeating: "*a\(i - 1)", count: 10).joined(separator: ", ")
      text += "]\n"
    }
    let error = message { () throws(WorkloadError) in
      _ = try SourceNode.parse(text, file: "w.yaml", maximumValues: 10_000)
    }
    #expect(error?.contains("more than 10000 values") == true)
  }

  @Test("aliases repeat a value, and merge keys yield to what is written")
  func aliases() throws {
    let text = "base: &b {x: 1, y: 2}\ncopy: *b\nmore:\n  <<: *b\n  y: 3\n"
    var root = try PositionedValue(SourceNode.parse(text, file: "w.yaml"), path: "").mapping()
    #expect(root.optional("copy")?.inlineText == "{x: 1, y: 2}")
    #expect(root.optional("more")?.inlineText == "{y: 3, x: 1}")
  }

  @Test("every value knows its line, column and key path")
  func positions() throws {
    let text = "a:\n  b: [10, {c: 'x'}]\n"
    var root = try PositionedValue(SourceNode.parse(text, file: "w.yaml"), path: "").mapping()
    var a = try root.required("a", "").mapping()
    let list = try a.required("b", "").list()
    var second = try list[1].mapping()
    let c = try second.required("c", "")
    #expect(list[0].position.description == "w.yaml:2:7")
    #expect(c.position.description == "w.yaml:2:15")
    #expect(c.path == "a.b[1].c")
  }

  @Test("line ends of Windows and a byte order mark change nothing")
  func lineEnds() throws {
    let text = "\u{FEFF}" + minimal.split(separator: "\n").joined(separator: "\r\n") + "\r\nseds: 1"
    #expect(
      message { () throws(WorkloadError) in _ = try workload(text) }
        == "paper/w.yaml:7:1: unknown key 'seds'; did you mean 'seeds'?")
  }

  @Test("a missing file, a folder and a file that is not text say so")
  func files() throws {
    let path = NSTemporaryDirectory() + "heliostat-\(UUID().uuidString).yaml"
    try Data("a: 1\nb: ".utf8 + [0xFF, 0xFE]).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(
      message { () throws(WorkloadError) in _ = try WorkloadFile.load(path) }
        == "\(path):2:4: the file is not UTF-8 text; save it as UTF-8")
    #expect(
      message { () throws(WorkloadError) in _ = try WorkloadFile.load("/nowhere/x.yaml") }
        == "/nowhere/x.yaml: there is no file '/nowhere/x.yaml'; check the path")
    #expect(
      message { () throws(WorkloadError) in _ = try WorkloadFile.load("/") }
        == "/: this is a folder; expected a YAML file")
  }

  @Test("no truncation or change of any one byte traps: an error with a place, or success")
  func fuzz() throws {
    let valid = Array(Self.everything.utf8)
    _ = try workload(Self.everything).cells()
    var failures = 0
    func attempt(_ bytes: [UInt8]) {
      let text = String(decoding: bytes, as: UTF8.self)
      do throws(WorkloadError) {
        _ = try workload(text).cells()
      } catch {
        failures += 1
        #expect(!error.position.file.isEmpty && !error.message.isEmpty)
      }
    }
    for at in valid.indices {
      attempt(Array(valid[..<at]))
      var changed = valid
      // One of these at each byte: all of them would take minutes.
      let pool = Array("9:[]{}-'\"#&*!|>%@`,?\n\t 0e\u{0}\u{FF}".utf8)
      changed[at] = pool[(at &* 7) % pool.count]
      attempt(changed)
      changed.remove(at: at)
      attempt(changed)
      changed.insert(contentsOf: "99999999999999999999".utf8, at: at)
      attempt(changed)
    }
    #expect(failures > valid.count)
  }

  static let everything = """
    experiment: all-keys
    title: Everything at once
    description: >
      Several
      lines
    figure: Fig14a
    cluster:
      profile: ../clusters/mixed.yaml
      nodes: {gpu: 2, cpu: 3}
      network: {nic: 25Gbps}
    architecture: osdi18
    policies: {spillover: "QueueThreshold[threshold=128]", dispatch: FIFO}
    parameters: &p {gcs-shards: 8, heartbeat: 100ms}
    workload:
      graph:
        - {id: a, duration: "uniform(1ms, 2ms)", output: 8B}
        - {id: b, duration: 0.5s, needs: [a, a], resources: {licence: 0.5}, count: 3}
        - {id: c, function: add, duration: 1s, needs: [b], cpus: 0.5, gpus: 1, returns: 2}
    measures: [{name: makespan, as: time, unit: s}, throughput]
    seeds: [1, 2, 3]
    sweep:
      cluster.nodes.cpu: [2, 3]
      zip:
        - {workload.graph.0.duration: 1ms, workload.graph.1.duration: 2ms}
        - {workload.graph.0.duration: 3ms, workload.graph.1.duration: 4ms}
    x: {name: nodes, from: cluster.nodes.cpu, scale: 64}
    series: "chain {workload.graph.0.duration}"
    compare: [{figure: Fig14a, series: "Ray ES", as: paper}]
    checks:
      - {check: within, of: 10, factor: 1.2}

    """
}
