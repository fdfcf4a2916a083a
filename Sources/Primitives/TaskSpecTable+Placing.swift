extension TaskSpecTable {
  /// Puts a task behind a given handle, in place of whatever is there: for replays, where every handle
  /// means what it meant when it was recorded.
  ///
  /// References are not counted in such a table: its tasks stay until they are replaced. It must not
  /// intern.
  public func place(
    _ spec: TaskSpec, isStub: Bool, arguments: UnsafeBufferPointer<ObjectHandle>,
    at handle: TaskHandle
  ) {
    var last = handle.index
    if spec.actor != .none { last = max(last, spec.actor.index) }
    for argument in arguments { last = max(last, argument.producer.index) }
    var vacant = TaskSpec(
      id: TaskID(high: 0, low: 0), function: FunctionID(0), shape: 0, returns: 0)
    vacant.extras = TaskSpec.stub
    vacant.references = Self.placedReferences
    while storage.pointee.specs.slotCount <= Int(last) { _ = storage.pointee.specs.insert(vacant) }
    let old = pointer(handle).pointee
    if old.argumentLength > 0 { giveRun(old.argumentOffset, count: Int(old.argumentLength)) }
    if old.extras & ~TaskSpec.stub != 0 { removeExtras(handle, old) }
    var spec = spec
    spec.references = Self.placedReferences
    spec.extras = isStub ? TaskSpec.stub : 0
    setArguments(arguments, of: &spec)
    pointer(handle).pointee = spec
  }

  /// Handles from 0 up to here have meant something; the others lie in no storage.
  public var slotCount: Int { storage.pointee.specs.slotCount }

  /// So many that no replay comes to zero, or over the top.
  private static var placedReferences: UInt32 { 1 << 30 }
}
