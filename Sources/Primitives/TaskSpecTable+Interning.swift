extension TaskSpecTable {
  // MARK: Identities

  @usableFromInline func addToIndex(_ handle: TaskHandle, _ id: TaskID) {
    storage.pointee.index.set(id, handle)
  }

  /// The handle of a task that this process knows; nil also when the table does not intern.
  public func find(_ id: TaskID) -> TaskHandle? {
    guard let handle = storage.pointee.index.find(id), pointer(handle).pointee.id == id
    else { return nil }
    return handle
  }

  /// The handle of a task by its identity, made as a stub when it is not known. The caller holds one
  /// reference.
  public func intern(_ id: TaskID) -> TaskHandle {
    if let known = find(id) {
      retain(known)
      return known
    }
    var stub = TaskSpec(id: id, function: FunctionID(0), shape: 0, returns: 0)
    stub.extras = TaskSpec.stub
    return insert(stub)
  }

  /// Completes a stub. A task that is known already keeps its specification: they never change.
  public func define(
    _ handle: TaskHandle, _ spec: TaskSpec, arguments: UnsafeBufferPointer<ObjectHandle>
  ) {
    let known = pointer(handle)
    precondition(known.pointee.id == spec.id, "task \(handle.index) has another identity")
    guard known.pointee.isStub else { return }
    var spec = spec
    spec.references = known.pointee.references
    spec.extras = known.pointee.extras & ~TaskSpec.stub
    setArguments(arguments, of: &spec)
    known.pointee = spec
  }

  /// The present number of references; for tests and checkers.
  public func references(_ handle: TaskHandle) -> Int { Int(pointer(handle).pointee.references) }

  /// The live tasks that one program submitted, by its `TaskSpec.caller`, in the order of their handles.
  /// Looks at every task: for rare events.
  public func tasks(of caller: UInt64) -> [TaskHandle] {
    storage.pointee.specs.liveSlots.map { TaskHandle($0) }.filter {
      let spec = pointer($0)
      return spec.pointee.caller == caller && !spec.pointee.isStub && spec.pointee.kind != .driver
    }
  }

  // MARK: What some tasks have besides

  /// Keeps a copy of the arguments that travel by value inside the specification.
  public func setValueArguments(_ bytes: UnsafeRawBufferPointer, of handle: TaskHandle) {
    let spec = pointer(handle)
    guard !bytes.isEmpty, spec.pointee.extras & TaskSpec.hasValueArguments == 0 else { return }
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    copy.copyMemory(from: bytes)
    storage.pointee.values.set(UInt64(handle.index), copy)
    spec.pointee.extras |= TaskSpec.hasValueArguments
    spec.pointee.valueBytes = UInt32(truncatingIfNeeded: bytes.count)
  }

  /// The arguments by value, as they were set; empty without any. Valid while the task is.
  public func valueArguments(_ handle: TaskHandle) -> UnsafeRawBufferPointer {
    guard pointer(handle).pointee.extras & TaskSpec.hasValueArguments != 0,
      let bytes = storage.pointee.values[UInt64(handle.index)]
    else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(bytes)
  }

  /// The size of a return value: what its task turned out to have made, before that what it is
  /// expected to make.
  @inlinable public func outputSize(_ object: ObjectHandle) -> ByteCount {
    let spec = pointer(object.producer)
    if spec.pointee.extras & TaskSpec.hasOutputSizes == 0 { return spec.pointee.outputSize }
    return knownOutputSize(object) ?? spec.pointee.outputSize
  }

  @usableFromInline func knownOutputSize(_ object: ObjectHandle) -> ByteCount? {
    storage.pointee.sizes[object.key]
  }

  /// Records how large a return value is, once its task has made it.
  public func setOutputSize(_ size: ByteCount, of object: ObjectHandle) {
    let spec = pointer(object.producer)
    if spec.pointee.returns == 1 {
      spec.pointee.outputSize = size
    } else {
      storage.pointee.sizes.set(object.key, size)
      spec.pointee.extras |= TaskSpec.hasOutputSizes
    }
  }

  @usableFromInline func removeExtras(_ handle: TaskHandle, _ spec: TaskSpec) {
    if spec.extras & TaskSpec.hasValueArguments != 0,
      let bytes = storage.pointee.values.remove(UInt64(handle.index))
    {
      bytes.deallocate()
    }
    if spec.extras & TaskSpec.hasOutputSizes != 0 {
      for index in 0..<Int32(spec.returns) {
        storage.pointee.sizes.remove(ObjectHandle(producer: handle, index: index).key)
      }
    }
  }
}
