import Glibc
import Recording
import Synchronization

/// A recording on disk. It has its name when it is finished; until then, and for ever when the
/// process dies, it is called `NAME.part` and can be read as far as it goes.
public final class RecordingFile: RecordingOutput {
  /// Of a whole recording: `node-0.heliorec`.
  public static let suffix = ".heliorec"
  /// Behind that, of one that is being written or was cut off.
  public static let partSuffix = ".part"

  private struct State: Sendable {
    var descriptor: Int32
    var streams: UInt32 = 0
    var error: RecordingFileError?
  }

  public let path: String
  private let state: Mutex<State>

  /// Starts a recording.
  ///
  /// - Parameters:
  ///   - path: where it will lie; an earlier one there is replaced at the end.
  ///   - origin: what it is of, in a few words, such as `node 1`.
  public init(_ path: String, origin: String) throws(RecordingFileError) {
    self.path = path
    let part = path + Self.partSuffix
    let descriptor = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw RecordingFileError("\(part) cannot be written", errno) }
    // Held until the file is closed. A file system without locks protects nobody.
    var lock = Self.wholeFile
    if fcntl(descriptor, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES) {
      _ = close(descriptor)
      throw RecordingFileError(
        "\(part) is being written by another process; choose another folder for recordings")
    }
    guard ftruncate(descriptor, 0) == 0 else {
      let code = errno
      _ = close(descriptor)
      throw RecordingFileError("\(part) cannot be written", code)
    }
    state = Mutex(State(descriptor: descriptor))
    recordingPreface(origin: origin).withUnsafeBytes { write($0) }
  }

  deinit { state.withLock { if $0.descriptor >= 0 { _ = close($0.descriptor) } } }

  private static var wholeFile: flock {
    var lock = flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    return lock
  }

  /// Whether a file is called as recordings are, whole or not.
  public static func isName(_ name: String) -> Bool {
    name.hasSuffix(suffix) || name.hasSuffix(suffix + partSuffix)
  }

  /// Whether another process than this one writes the recording right now.
  public static func isBeingWritten(_ path: String) -> Bool {
    guard path.hasSuffix(partSuffix) else { return false }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { _ = close(descriptor) }
    var lock = wholeFile
    return fcntl(descriptor, F_GETLK, &lock) == 0 && Int32(lock.l_type) != F_UNLCK
  }

  public func openStream() -> UInt32 {
    state.withLock { state in
      defer { state.streams += 1 }
      return state.streams
    }
  }

  /// After a failure nothing more is written: a recording with a hole would be worth nothing.
  public func write(_ block: UnsafeRawBufferPointer) {
    state.withLock { state in
      guard state.descriptor >= 0, state.error == nil else { return }
      var rest = block
      while let base = rest.baseAddress, rest.count > 0 {
        let count = Glibc.write(state.descriptor, base, rest.count)
        if count < 0 {
          if errno == EINTR { continue }
          state.error = RecordingFileError("\(path)\(Self.partSuffix) cannot be written", errno)
          return
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
    }
  }

  /// Gives it up, as if it had not been started. An earlier recording of its name stays.
  public func discard() {
    state.withLock { state in
      guard state.descriptor >= 0 else { return }
      _ = close(state.descriptor)
      state.descriptor = -1
      _ = unlink(path + Self.partSuffix)
    }
  }

  /// Ends the recording, when all who record have ended their streams, and gives it its name.
  ///
  /// - Throws: `RecordingFileError` when the disk was full or another write failed.
  public func finish() throws(RecordingFileError) {
    recordingEnd().withUnsafeBytes { write($0) }
    let error = state.withLock { state -> RecordingFileError? in
      guard state.descriptor >= 0 else { return state.error }
      if close(state.descriptor) != 0 && state.error == nil {
        state.error = RecordingFileError("\(path)\(Self.partSuffix) cannot be written", errno)
      }
      state.descriptor = -1
      if state.error == nil && rename(path + Self.partSuffix, path) != 0 {
        state.error = RecordingFileError("\(path) cannot be written", errno)
      }
      return state.error
    }
    if let error { throw error }
  }
}

/// Why a recording could not be written.
public struct RecordingFileError: Error, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
  init(_ what: String, _ code: Int32) {
    description = "\(what): \(String(cString: strerror(code)))"
  }
}
