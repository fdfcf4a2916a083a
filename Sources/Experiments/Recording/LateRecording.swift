import RealWorld
import Recording
import Synchronization

/// A recording that begins on disk when there is something to write, or it is told to. Until then it
/// leaves alone what lies where it will be.
final class LateRecording: RecordingOutput {
  private enum State: Sendable {
    case waiting
    case begun(RecordingFile)
    case failed(any Error)
    case discarded
  }

  private let start: @Sendable () throws -> RecordingFile
  private let state = Mutex(State.waiting)
  private let streams = Atomic<UInt32>(0)

  /// - Parameter start: begins the file; called once at most.
  init(_ start: @escaping @Sendable () throws -> RecordingFile) { self.start = start }

  /// The file, once it has begun.
  private var file: RecordingFile? {
    state.withLock { state in
      if case .waiting = state {
        do { state = .begun(try start()) } catch { state = .failed(error) }
      }
      if case .begun(let file) = state { return file }
      return nil
    }
  }

  /// Begins the file, unless it has begun.
  ///
  /// - Throws: why that cannot be.
  func begin() throws {
    if file != nil { return }
    if case .failed(let error) = state.withLock({ $0 }) { throw error }
  }

  func openStream() -> UInt32 { streams.add(1, ordering: .relaxed).oldValue }

  func write(_ block: UnsafeRawBufferPointer) { file?.write(block) }

  /// Gives it up, as if it had not been started.
  func discard() {
    state.withLock { state in
      if case .begun(let file) = state { file.discard() }
      state = .discarded
    }
  }

  /// Ends the recording, when all who record have ended their streams.
  ///
  /// - Throws: why it could not begin; `RecordingFileError` when a write failed.
  func finish() throws {
    try begin()
    try file?.finish()
  }
}
