import Scheduling
import Testing

@Suite("policies by name")
struct PolicySpecTests {
  @Test(
    "a specification is read and printed the same",
    arguments: [
      ("FIFO", "FIFO"),
      (" LowestWait [ tie = first , queue=heartbeat ] ", "LowestWait[tie=first,queue=heartbeat]"),
      ("Random[]", "Random"), ("A[b=c=d]", "A[b=c=d]"),
    ])
  func parsing(text: String, printed: String) throws {
    let spec = try PolicySpec(parsing: text)
    #expect(spec.description == printed)
    #expect(try PolicySpec(parsing: printed) == spec)
  }

  @Test(
    "what is no specification is refused",
    arguments: [
      "", "  ", "[a=b]", "A[", "A[a=b", "A]", "a=b", "A[a]", "A[a=]", "A[=b]", "A[a=b,]", "A[a=b]c",
      "A]b[c=d]",
    ])
  func malformed(text: String) {
    #expect(throws: PolicyError.malformed(text)) { try PolicySpec(parsing: text) }
  }

  @Test("errors say what is known and what was expected")
  func errors() {
    func message(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "no error"
      } catch { return "\(error)" }
    }
    #expect(
      message { _ = try PolicyRegistry.dispatch(PolicySpec("Best")) }
        == "unknown dispatch policy 'Best'; known: FIFO, LIFO")
    #expect(
      message { _ = try PolicyRegistry.dispatch(PolicySpec(parsing: "FIFO[a=1]")) }
        == "policy FIFO has no parameter 'a'; it takes none")
    #expect(
      message { _ = try PolicySpec(parsing: "A[x=1,x=2]") }
        == "policy A gives parameter 'x' twice; keep one")
    #expect(
      message {
        _ = try PolicyRegistry.spillover(PolicySpec(parsing: "QueueThreshold[threshold=x]"))
      }
        == "policy QueueThreshold: threshold=x is not valid; expected a whole number from -1 to 1000000000"
    )
    #expect(
      message { _ = try PolicyRegistry.placement(PolicySpec(parsing: "LowestWait[tie=last]")) }
        == "policy LowestWait: tie=last is not valid; expected random or first")
  }

  @Test("every policy can be made by its name and prints every parameter in force")
  func registry() throws {
    for entry in PolicyRegistry.entries {
      let spec = PolicySpec(entry.name)
      let made: PolicySpec
      switch entry.kind {
      case "spillover": made = try PolicyRegistry.spillover(spec).spec
      case "placement": made = try PolicyRegistry.placement(spec).spec
      default: made = try PolicyRegistry.dispatch(spec).spec
      }
      #expect(made.name == entry.name && !entry.summary.isEmpty)
      // The printed form makes the same policy.
      let again = try PolicySpec(parsing: made.description)
      #expect(again == made)
    }
  }
}
