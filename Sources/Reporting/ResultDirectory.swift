import Foundation

/// Why a result could not be written.
public enum ResultDirectoryError: Error, CustomStringConvertible, LocalizedError, Equatable {
  /// The system refused: what was tried, on which path, and its reason.
  case system(action: String, path: String, reason: String)
  /// The target exists and no run of this program made it.
  case notAResult(path: String, reason: String)
  /// A result cannot hold a file of this name.
  case badName(String)

  public var description: String {
    switch self {
    case .system(let action, let path, let reason): "cannot \(action) \(path): \(reason)"
    case .notAResult(let path, let reason):
      "will not replace \(path): \(reason); choose another directory or move it away"
    case .badName(let name):
      "a result cannot hold a file named “\(name)”: expected a plain file name"
    }
  }
  public var errorDescription: String? { description }
}

/// The directory of one result, written as a whole.
///
/// The files go into a hidden sibling first, which then takes the target's name. Whatever stops the
/// program in between, the target is the old result, the new one, or (between two renames) absent;
/// never a mixture. A directory that holds anything but an earlier result is left alone. An earlier
/// result that says something else is kept: it makes room under a number, as `result.1`.
public struct ResultDirectory: Sendable {
  /// What became of the result that lay where a new one was written.
  public enum Earlier: Sendable, Hashable {
    /// There was none.
    case absent
    /// It was the same run's and said the same, so the new one took its place.
    case same
    /// It said something else and lies at this path now.
    case kept(path: String)
    /// It said something else and was removed on request.
    case removed
  }

  /// The absolute path of the directory.
  public let path: String
  public private(set) var names: [String] = []
  private var contents: [String: Data] = [:]

  public static let manifestName = "manifest.json"
  public static let rowsName = "rows.csv"
  public static let checksName = "checks.json"

  public init(path: String) {
    let current = FileManager.default.currentDirectoryPath
    let absolute = path.hasPrefix("/") ? path : current + "/" + path
    // A link stays where it is; what it points to is replaced.
    self.path = URL(fileURLWithPath: absolute).standardizedFileURL.resolvingSymlinksInPath().path
  }

  /// Adds a file; one added under the same name before is replaced.
  public mutating func add(_ name: String, bytes: [UInt8]) throws { try add(name, Data(bytes)) }

  public mutating func add(_ name: String, text: String) throws { try add(name, Data(text.utf8)) }

  private mutating func add(_ name: String, _ data: Data) throws {
    guard !name.isEmpty, name != ".", name != "..", name != Self.manifestName,
      !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
    else { throw ResultDirectoryError.badName(name) }
    if contents.updateValue(data, forKey: name) == nil { names.append(name) }
  }

  /// Throws what `commit` would throw for the target as it is now, so that a long run can be
  /// refused before it starts.
  public func check() throws { _ = try earlier() }

  /// The manifest of the result that is there, or nil; throws if the target cannot be written to.
  private func earlier() throws -> Manifest? {
    let manager = FileManager.default
    var isDirectory: ObjCBool = false
    guard manager.fileExists(atPath: path, isDirectory: &isDirectory) else {
      try checkParent()
      return nil
    }
    guard isDirectory.boolValue else {
      throw ResultDirectoryError.notAResult(path: path, reason: "it is a file")
    }
    let found: [String]
    do {
      found = try manager.contentsOfDirectory(atPath: path).sorted()
    } catch {
      throw failure("read", path, error)
    }
    if found.isEmpty {
      try checkParent()
      return nil
    }
    let file = path + "/" + Self.manifestName
    guard let data = manager.contents(atPath: file),
      let manifest = try? Manifest(json: String(decoding: data, as: UTF8.self))
    else {
      throw ResultDirectoryError.notAResult(
        path: path, reason: "it holds \(found[0]) and no \(Self.manifestName) of a result")
    }
    let known = Set(manifest.files + [Self.manifestName])
    if let foreign = found.first(where: { !known.contains($0) }) {
      throw ResultDirectoryError.notAResult(
        path: path, reason: "it holds \(foreign), which no run wrote")
    }
    try checkParent()
    return manifest
  }

  /// The nearest parent that exists must be a directory that can be written to.
  private func checkParent() throws {
    let manager = FileManager.default
    var parent = URL(fileURLWithPath: path).deletingLastPathComponent()
    while !manager.fileExists(atPath: parent.path), parent.path != "/" {
      parent = parent.deletingLastPathComponent()
    }
    var isDirectory: ObjCBool = false
    _ = manager.fileExists(atPath: parent.path, isDirectory: &isDirectory)
    if isDirectory.boolValue && manager.isWritableFile(atPath: parent.path) { return }
    let reason = "\(parent.path) " + (isDirectory.boolValue ? "cannot be written to" : "is a file")
    throw ResultDirectoryError.system(action: "create", path: path, reason: reason)
  }

  /// Writes everything, with the manifest, and puts it in place. Missing parents are created.
  ///
  /// - Parameter overwriting: remove an earlier result also when it says something else.
  /// - Returns: what became of an earlier result.
  /// - Throws: `ResultDirectoryError`; the target is then as it was.
  @discardableResult
  public func commit(_ manifest: Manifest, overwriting: Bool = false) throws -> Earlier {
    let earlier = try earlier()
    let manager = FileManager.default
    let url = URL(fileURLWithPath: path)
    let parent = url.deletingLastPathComponent().path
    let prefix = ".\(url.lastPathComponent).partial-"
    let partial = "\(parent)/\(prefix)\(ProcessInfo.processInfo.processIdentifier)"
    let previous = partial + "-previous"

    do {
      try manager.createDirectory(atPath: parent, withIntermediateDirectories: true)
    } catch {
      throw failure("create", parent, error)
    }
    for leftover in [partial, previous] where manager.fileExists(atPath: leftover) {
      do { try manager.removeItem(atPath: leftover) } catch {
        throw failure("remove", leftover, error)
      }
    }
    do {
      try manager.createDirectory(atPath: partial, withIntermediateDirectories: false)
    } catch {
      throw failure("create", partial, error)
    }
    do {
      var manifest = manifest
      manifest.files = names.sorted()
      let text = try manifest.json()
      try write(Data(text.utf8), to: "\(partial)/\(Self.manifestName)")
      for name in names { try write(contents[name] ?? Data(), to: "\(partial)/\(name)") }
      guard let earlier else {
        try replace(with: partial, keeping: previous)
        // An empty directory.
        try? manager.removeItem(atPath: previous)
        return .absent
      }
      // Numbers and texts may have another type when they are read: so the new one is read too.
      let isSame = saysTheSame(try Manifest(json: text), earlier)
      if isSame || overwriting {
        try replace(with: partial, keeping: previous)
        try? manager.removeItem(atPath: previous)
        return isSame ? .same : .removed
      }
      let kept = try numbered(in: parent)
      try replace(with: partial, keeping: kept)
      return .kept(path: kept)
    } catch {
      // The error that is being thrown says more than a failure to tidy up would.
      try? manager.removeItem(atPath: partial)
      throw error
    }
  }

  /// True when nothing is lost with the earlier result that the new one does not show.
  private func saysTheSame(_ manifest: Manifest, _ earlier: Manifest) -> Bool {
    guard manifest.isSameRun(as: earlier),
      Set(earlier.files).isSubset(of: manifest.files)
    else { return false }
    // All else follows from these and from the run.
    for name in [Self.rowsName, Self.checksName] {
      if FileManager.default.contents(atPath: "\(path)/\(name)") != contents[name] { return false }
    }
    return true
  }

  /// Where an earlier result goes: `result.1`, or above the highest number that is there.
  private func numbered(in parent: String) throws -> String {
    let prefix = URL(fileURLWithPath: path).lastPathComponent + "."
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: parent) } catch {
      throw failure("read", parent, error)
    }
    let numbers = names.compactMap { name in
      name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil
    }
    return "\(path).\(max(0, numbers.max() ?? 0) + 1)"
  }

  /// Moves what is there to `previous`, which must not exist, and `partial` to its place.
  private func replace(with partial: String, keeping previous: String) throws {
    let manager = FileManager.default
    let exists = manager.fileExists(atPath: path)
    if exists {
      do { try manager.moveItem(atPath: path, toPath: previous) } catch {
        throw failure("move away", path, error)
      }
    }
    do { try manager.moveItem(atPath: partial, toPath: path) } catch {
      if exists { try? manager.moveItem(atPath: previous, toPath: path) }
      throw failure("put the result at", path, error)
    }
  }

  private func write(_ data: Data, to file: String) throws {
    do { try data.write(to: URL(fileURLWithPath: file)) } catch {
      throw failure("write", file, error)
    }
  }

  private func failure(_ action: String, _ path: String, _ error: any Error) -> any Error {
    let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    let reason = cause?.localizedDescription ?? (error as NSError).localizedDescription
    return ResultDirectoryError.system(action: action, path: path, reason: reason)
  }
}
