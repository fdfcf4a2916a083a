/// The task specifications of one process (or one simulated run), interned behind 32-bit handles.
///
/// A handle stays valid while somebody holds it: the submitter until it drops its references, the
/// raylet that queues or runs the task, a store that keeps one of its objects, and every task that
/// takes one of its objects as an argument. At zero the slot is reused.
///
/// Where several processes run one cluster, each has a table of its own, and identities lead from one
/// to the other: with `interning` the table finds the handle of an identity (`find`, `intern`). A task
/// that is known by name only is a stub until `define` completes it.
///
/// The value is a view on storage that `allocate()` makes and `deallocate()` frees, so that machines
/// can keep it without reference counting.
@frozen
public struct TaskSpecTable: @unchecked Sendable {
  @usableFromInline struct Storage: ~Copyable {
    @usableFromInline var specs = SlotTable<TaskSpec>()
    @usableFromInline var shapes: [ResourceVector] = []
    /// Argument runs, in blocks of 1, 2, 4, … handles; a free list for each block size.
    @usableFromInline var arguments: UnsafeMutablePointer<ObjectHandle>
    @usableFromInline var argumentCapacity: Int
    @usableFromInline var argumentCount: Int
    @usableFromInline var freeRuns: UnsafeMutablePointer<UInt32>
    @usableFromInline var demands: UnsafeMutablePointer<ResourceVector>
    @usableFromInline var pendingFree = RingQueue<TaskHandle>()
    /// By identity; filled only with interning.
    var index = SiblingIndex()
    @usableFromInline let isInterning: Bool
    /// Arguments by value, by handle.
    @usableFromInline var values = WordMap<UnsafeMutableRawBufferPointer>()
    /// Sizes of return values where they differ, by object.
    @usableFromInline var sizes = WordMap<ByteCount>()

    @usableFromInline init(isInterning: Bool) {
      self.isInterning = isInterning
      argumentCapacity = 1024
      arguments = .allocate(capacity: argumentCapacity)
      argumentCount = 0
      freeRuns = .allocate(capacity: 32)
      freeRuns.initialize(repeating: .max, count: 32)
      demands = .allocate(capacity: Int(UInt16.max))
    }

    deinit {
      arguments.deallocate()
      freeRuns.deallocate()
      demands.deallocate()
    }

    /// Frees what the live tasks keep outside of the table's own arrays.
    @usableFromInline mutating func freeValues() {
      for slot in 0..<UInt32(specs.slotCount) {
        if let value = values.remove(UInt64(slot)) { value.deallocate() }
      }
    }
  }

  @usableFromInline let storage: UnsafeMutablePointer<Storage>

  @usableFromInline init(storage: UnsafeMutablePointer<Storage>) { self.storage = storage }

  /// - Parameter interning: keep an index from identities to handles.
  public static func allocate(interning: Bool = false) -> TaskSpecTable {
    let storage = UnsafeMutablePointer<Storage>.allocate(capacity: 1)
    storage.initialize(to: Storage(isInterning: interning))
    return TaskSpecTable(storage: storage)
  }

  public func deallocate() {
    storage.pointee.freeValues()
    storage.deinitialize(count: 1)
    storage.deallocate()
  }

  /// The number of live specifications.
  public var count: Int { storage.pointee.specs.count }

  /// Bytes of heap that the table holds.
  public var memoryBytes: Int {
    storage.pointee.specs.memoryBytes
      + storage.pointee.argumentCapacity * MemoryLayout<ObjectHandle>.stride
      + (storage.pointee.isInterning ? storage.pointee.index.memoryBytes : 0)
  }

  /// The number of the demand `vector`, interned. Linear in the number of different demands.
  public func shape(_ vector: ResourceVector) -> UInt16 {
    if let known = storage.pointee.shapes.firstIndex(of: vector) { return UInt16(known) }
    let number = storage.pointee.shapes.count
    precondition(number < Int(UInt16.max), "more than \(number) different resource demands")
    storage.pointee.shapes.append(vector)
    (storage.pointee.demands + number).initialize(to: vector)
    return UInt16(number)
  }

  /// The number of different demands so far.
  public var shapeCount: Int { storage.pointee.shapes.count }

  /// What tasks of this shape require.
  @inlinable public func demand(shape: UInt16) -> ResourceVector {
    storage.pointee.demands[Int(shape)]
  }

  @inlinable public func demand(_ handle: TaskHandle) -> ResourceVector {
    demand(shape: pointer(handle).pointee.shape)
  }

  @inlinable func pointer(_ handle: TaskHandle) -> UnsafeMutablePointer<TaskSpec> {
    storage.pointee.specs.pointer(handle.index)
  }

  @inlinable public subscript(handle: TaskHandle) -> TaskSpec {
    @inline(__always) unsafeAddress { UnsafePointer(pointer(handle)) }
  }

  /// Interns `spec` with its arguments by future. The caller holds one reference to the new task;
  /// the task holds one to the producer of each argument.
  @inlinable public func insert(
    _ spec: TaskSpec, arguments: UnsafeBufferPointer<ObjectHandle>
  ) -> TaskHandle {
    let slot = storage.pointee.specs.take()
    let place = storage.pointee.specs.pointer(slot)
    place.initialize(to: spec)
    place.pointee.references = 1
    setArguments(arguments, of: &place.pointee)
    let handle = TaskHandle(slot)
    if storage.pointee.isInterning { addToIndex(handle, spec.id) }
    return handle
  }

  /// Interns a specification like `model`, but for what a task has for itself. Its arguments by value
  /// are set afterwards (`setValueArguments`), unless they are only modelled: then they take
  /// `valueBytes`.
  ///
  /// Everything is written in its place: a record that is put together on the stack in small parts
  /// and then copied whole waits until each of those stores has reached the cache.
  @inlinable public func insert(
    like model: UnsafePointer<TaskSpec>, id: TaskID, sequence: UInt32, actor: TaskHandle,
    valueBytes: UInt32 = 0, arguments: UnsafeBufferPointer<ObjectHandle>
  ) -> TaskHandle {
    let slot = storage.pointee.specs.take()
    let spec = storage.pointee.specs.pointer(slot)
    spec.initialize(to: model.pointee)
    spec.pointee.id = id
    spec.pointee.sequence = sequence
    spec.pointee.actor = actor
    spec.pointee.valueBytes = valueBytes
    spec.pointee.references = 1
    setArguments(arguments, of: &spec.pointee)
    let handle = TaskHandle(slot)
    if storage.pointee.isInterning { addToIndex(handle, id) }
    return handle
  }

  /// The same for one of several submitters that share a model, and without arguments.
  @inlinable public func insert(
    like model: UnsafePointer<TaskSpec>, id: TaskID, work: TimeSpan, submitter: UInt32,
    caller: UInt64
  ) -> TaskHandle {
    let none = UnsafeBufferPointer<ObjectHandle>(start: nil, count: 0)
    let handle = insert(like: model, id: id, sequence: 0, actor: .none, arguments: none)
    let spec = pointer(handle)
    spec.pointee.work = work
    spec.pointee.submitter = submitter
    spec.pointee.caller = caller
    return handle
  }

  @inlinable @inline(__always) func setArguments(
    _ arguments: UnsafeBufferPointer<ObjectHandle>, of spec: inout TaskSpec
  ) {
    spec.argumentLength = UInt32(arguments.count)
    if spec.actor != .none { retain(spec.actor) }
    if arguments.isEmpty { return }
    spec.argumentOffset = takeRun(arguments.count)
    let run = storage.pointee.arguments + Int(spec.argumentOffset)
    for i in 0..<arguments.count {
      run[i] = arguments[i]
      retain(arguments[i].producer)
    }
  }

  @inlinable public func insert(_ spec: TaskSpec) -> TaskHandle {
    insert(spec, arguments: UnsafeBufferPointer(start: nil, count: 0))
  }

  /// Argument `i` (by future) of the task.
  @inlinable public func argument(_ handle: TaskHandle, _ i: Int) -> ObjectHandle {
    let spec = pointer(handle)
    precondition(
      i < Int(spec.pointee.argumentLength), "argument \(i) of \(spec.pointee.argumentLength)")
    return storage.pointee.arguments[Int(spec.pointee.argumentOffset) + i]
  }

  @inlinable public func retain(_ handle: TaskHandle) {
    pointer(handle).pointee.references += 1
  }

  @inlinable public func release(_ handle: TaskHandle) {
    let spec = pointer(handle)
    precondition(spec.pointee.references > 0, "task \(handle.index) released once too often")
    spec.pointee.references -= 1
    if spec.pointee.references == 0 { free(handle) }
  }

  /// Frees without recursion: a long chain of tasks may fall at once.
  @usableFromInline func free(_ handle: TaskHandle) {
    let spec = pointer(handle)
    if spec.pointee.argumentLength == 0 && spec.pointee.actor == .none {
      remove(handle)
      return
    }
    storage.pointee.pendingFree.append(handle)
    while let next = storage.pointee.pendingFree.popFirst() {
      let spec = pointer(next)
      let count = Int(spec.pointee.argumentLength)
      for i in 0..<count {
        drop(storage.pointee.arguments[Int(spec.pointee.argumentOffset) + i].producer)
      }
      if spec.pointee.actor != .none { drop(spec.pointee.actor) }
      if count > 0 { giveRun(spec.pointee.argumentOffset, count: count) }
      remove(next)
    }
  }

  /// Takes a freed task's reference to another away.
  private func drop(_ handle: TaskHandle) {
    let references = pointer(handle).pointee.references
    precondition(references > 0, "task \(handle.index) released once too often")
    pointer(handle).pointee.references = references - 1
    if references == 1 { storage.pointee.pendingFree.append(handle) }
  }

  @inline(__always) private func remove(_ handle: TaskHandle) {
    let spec = pointer(handle)
    if spec.pointee.extras != 0 { removeExtras(handle, spec.pointee) }
    if storage.pointee.isInterning { storage.pointee.index.remove(spec.pointee.id) }
    storage.pointee.specs.remove(handle.index)
  }

  @usableFromInline func takeRun(_ count: Int) -> UInt32 {
    let order = Int.bitWidth - (count - 1).leadingZeroBitCount
    let head = storage.pointee.freeRuns[order]
    if head != .max {
      storage.pointee.freeRuns[order] = storage.pointee.arguments[Int(head)].producer.index
      return head
    }
    let needed = storage.pointee.argumentCount + (1 << order)
    if needed > storage.pointee.argumentCapacity {
      let capacity = max(needed, storage.pointee.argumentCapacity * 2)
      let larger = UnsafeMutablePointer<ObjectHandle>.allocate(capacity: capacity)
      larger.moveInitialize(
        from: storage.pointee.arguments, count: storage.pointee.argumentCount)
      storage.pointee.arguments.deallocate()
      storage.pointee.arguments = larger
      storage.pointee.argumentCapacity = capacity
    }
    let offset = storage.pointee.argumentCount
    storage.pointee.argumentCount = needed
    (storage.pointee.arguments + offset).initialize(
      repeating: ObjectHandle(producer: .none, index: 0), count: 1 << order)
    return UInt32(offset)
  }

  @usableFromInline func giveRun(_ offset: UInt32, count: Int) {
    let order = Int.bitWidth - (count - 1).leadingZeroBitCount
    // The free list runs through the first element of each free block.
    storage.pointee.arguments[Int(offset)].producer = TaskHandle(storage.pointee.freeRuns[order])
    storage.pointee.freeRuns[order] = offset
  }
}
