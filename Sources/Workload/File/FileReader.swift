import Foundation

/// Where the text of a file comes from: the disk, or what a test hands over.
public struct FileReader: Sendable {
  /// The text of a file; nil when there is no such file.
  private let contents: @Sendable (String) throws(WorkloadError) -> String?
  /// The names of the files in a folder, for suggestions.
  private let names: @Sendable (String) -> [String]

  /// Files by path, as if they lay on a disk.
  public init(_ files: [String: String]) {
    contents = { path throws(WorkloadError) in files[path] }
    names = { folder in
      files.keys.filter { Self.folder(of: $0) == folder }.map(Self.lastPart).sorted()
    }
  }

  private init(
    contents: @escaping @Sendable (String) throws(WorkloadError) -> String?,
    names: @escaping @Sendable (String) -> [String]
  ) {
    self.contents = contents
    self.names = names
  }

  /// The file system.
  public static let disk = FileReader(
    contents: { path throws(WorkloadError) in try Self.readDisk(path) },
    names: { folder in
      let folder = folder.isEmpty ? "." : folder
      return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    })

  private static func readDisk(_ path: String) throws(WorkloadError) -> String? {
    let place = SourcePosition(file: path, line: 0, column: 0)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return nil }
    if isFolder.boolValue {
      throw WorkloadError("this is a folder", at: place, expected: "a YAML file")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw WorkloadError("the file cannot be read", at: place, hint: "check its permissions")
    }
    if let text = String(bytes: data, encoding: .utf8) { return text }
    // The replacement character marks the first byte that is not UTF-8.
    let before = String(decoding: data, as: UTF8.self).unicodeScalars.prefix { $0 != "\u{FFFD}" }
    let line = before.count { $0 == "\n" } + 1
    let column = before.reversed().prefix { $0 != "\n" }.count + 1
    throw WorkloadError(
      "the file is not UTF-8 text", at: SourcePosition(file: path, line: line, column: column),
      hint: "save it as UTF-8")
  }

  /// The text of `path`. When there is none, the error points at `position`, where it was asked
  /// for, and suggests a neighbour.
  func read(_ path: String, askedAt position: SourcePosition) throws(WorkloadError) -> String {
    if let text = try contents(path) { return text }
    let folder = Self.folder(of: path)
    let known = names(folder).filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") }
    var hint = "check the path"
    if let nearest = WorkloadError.nearest(to: Self.lastPart(path), in: known) {
      hint = "did you mean '\(nearest)'?"
    } else if !known.isEmpty {
      hint = "in '\(folder.isEmpty ? "." : folder)': \(known.prefix(12).joined(separator: ", "))"
    }
    throw WorkloadError("there is no file '\(path)'", at: position, hint: hint)
  }

  static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "" }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func lastPart(_ path: String) -> String {
    String(path.split(separator: "/").last ?? "")
  }

  /// `relative` as seen from the folder of `file`; `a/../` is taken out to keep messages short.
  static func resolve(_ relative: String, from file: String) -> String {
    if relative.hasPrefix("/") { return relative }
    let base = folder(of: file)
    var parts: [Substring] = []
    for part in (base + "/" + relative).split(separator: "/") where part != "." {
      if part == "..", let last = parts.last, last != ".." {
        parts.removeLast()
      } else {
        parts.append(part)
      }
    }
    return (base.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
  }
}
