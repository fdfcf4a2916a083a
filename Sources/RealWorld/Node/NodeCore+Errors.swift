import Primitives
import RuntimeCore

/// What a task said as it failed. The words are the value of each of its results: they lie where the
/// result lies, and go with it to other nodes and to programs.
extension NodeCore {
  /// A task ends with the error of something that it needed: its results get the words of that.
  mutating func inheritError(_ task: TaskHandle, from source: ObjectHandle) {
    for index in 0..<Int32(specs[task].returns) {
      let result = ObjectHandle(producer: task, index: index)
      // A record moves when another is added: it is looked up for each.
      guard !values.contains(result.key), let words = values.pointer(source.key),
        words.pointee.form != .onDisk
      else { continue }
      values.set(result.key, StoredValue(copying: words.bytes))
    }
  }
}
