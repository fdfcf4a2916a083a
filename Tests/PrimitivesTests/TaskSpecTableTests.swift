import Primitives
import Testing

@Suite("the table of task specifications")
struct TaskSpecTableTests {
  private func spec(_ i: Int) -> TaskSpec {
    TaskSpec(id: TaskID(high: 0, low: UInt64(i)), function: FunctionID(i), shape: 0)
  }

  @Test("a task lives as long as somebody holds it or takes its value")
  func lifetimes() {
    let table = TaskSpecTable.allocate()
    defer { table.deallocate() }
    let producer = table.insert(spec(1))
    let consumer = [ObjectHandle(producer: producer, index: 0)].withUnsafeBufferPointer {
      table.insert(spec(2), arguments: $0)
    }
    table.release(producer)
    #expect(table.count == 2 && table[producer].id.low == 1)
    table.retain(consumer)
    table.release(consumer)
    #expect(table.count == 2)
    table.release(consumer)
    #expect(table.count == 0)
  }

  @Test("a chain of a million tasks falls at once without exhausting the stack")
  func longChain() {
    let table = TaskSpecTable.allocate()
    defer { table.deallocate() }
    var last = table.insert(spec(0))
    for i in 1..<1_000_000 {
      let next = withUnsafePointer(to: ObjectHandle(producer: last, index: 0)) {
        table.insert(spec(i), arguments: UnsafeBufferPointer(start: $0, count: 1))
      }
      table.release(last)
      last = next
    }
    #expect(table.count == 1_000_000)
    table.release(last)
    #expect(table.count == 0)
  }

  @Test("references and arguments agree with an obvious model under random use")
  func oracle() {
    for seed in UInt64(0)..<8 {
      var random = RandomStream(seed: seed, stream: 0)
      let table = TaskSpecTable.allocate()
      defer { table.deallocate() }
      // Number of the task → (handle, references held by us, arguments as numbers).
      var model: [Int: (handle: TaskHandle, held: Int, arguments: [Int])] = [:]
      var created = 0
      func alive() -> Set<Int> {
        var open = model.filter { $0.value.held > 0 }.map(\.key)
        var seen = Set(open)
        while let next = open.popLast() {
          for input in model[next]!.arguments where seen.insert(input).inserted {
            open.append(input)
          }
        }
        return seen
      }
      for _ in 0..<300 {
        let living = alive().sorted()
        if random.below(2) == 0 || living.isEmpty {
          let count = living.isEmpty ? 0 : Int(random.below(10))
          let inputs = (0..<count).map { _ in living[Int(random.below(UInt64(living.count)))] }
          let handles = inputs.map { ObjectHandle(producer: model[$0]!.handle, index: Int32($0)) }
          let handle = handles.withUnsafeBufferPointer {
            table.insert(spec(created), arguments: $0)
          }
          model[created] = (handle, 1, inputs)
          created += 1
        } else {
          let one = living[Int(random.below(UInt64(living.count)))]
          if random.below(3) == 0 {
            table.retain(model[one]!.handle)
            model[one]!.held += 1
          } else if model[one]!.held > 0 {
            table.release(model[one]!.handle)
            model[one]!.held -= 1
          }
        }
        let now = alive()
        #expect(table.count == now.count, "seed \(seed)")
        for number in now {
          let entry = model[number]!
          #expect(table[entry.handle].id.low == UInt64(number), "seed \(seed)")
          #expect(table[entry.handle].argumentCount == entry.arguments.count)
          for (i, input) in entry.arguments.enumerated() {
            #expect(table.argument(entry.handle, i).index == Int32(input), "seed \(seed)")
          }
        }
      }
    }
  }

  @Test("equal demands share a number, different ones do not")
  func shapes() {
    let table = TaskSpecTable.allocate()
    defer { table.deallocate() }
    let a = table.shape(ResourceVector(cpus: 1))
    let b = table.shape(ResourceVector(cpus: 1, gpus: 1))
    #expect(a != b && table.shape(ResourceVector(cpus: 1)) == a && table.shapeCount == 2)
    #expect(table.demand(shape: b) == ResourceVector(cpus: 1, gpus: 1))
  }
}
