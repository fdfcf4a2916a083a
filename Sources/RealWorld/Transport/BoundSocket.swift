import Glibc
import NIOCore

/// A listening socket that nobody else has, and words for why there is none.
struct BoundSocket {
  let descriptor: CInt
  let endpoint: Endpoint
  let file: SocketFile?
  /// Connections that the kernel keeps until they are accepted.
  static let backlog: CInt = 1024

  init(_ endpoint: Endpoint, _ address: SocketAddress) throws(TransportError) {
    let family =
      switch address {
      case .v4: AF_INET
      case .v6: AF_INET6
      case .unixDomainSocket: AF_UNIX
      }
    let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    let socket = Glibc.socket(family, kind, 0)
    if socket < 0 { throw Self.failure(endpoint, errno) }
    var file: SocketFile?
    do throws(TransportError) {
      switch endpoint {
      case .tcp:
        var yes: CInt = 1
        setsockopt(
          socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout.size(ofValue: yes)))
        if Self.bind(socket, address) != 0 { throw Self.failure(endpoint, errno) }
        if Glibc.listen(socket, Self.backlog) != 0 { throw Self.failure(endpoint, errno) }
      case .unix(let path):
        // On Linux the file of a bound socket takes the mode that its descriptor has then.
        fchmod(socket, 0o600)
        file = try SocketFile.claim(path) { () throws(TransportError) in
          if Self.bind(socket, address) != 0 { throw Self.failure(endpoint, errno) }
          if Glibc.listen(socket, Self.backlog) != 0 { throw Self.failure(endpoint, errno) }
        }
      }
    } catch {
      Glibc.close(socket)
      throw error
    }
    descriptor = socket
    self.file = file
    if case .tcp(let host, _) = endpoint {
      self.endpoint = .tcp(host: host, port: Self.port(of: socket))
    } else {
      self.endpoint = endpoint
    }
  }

  private static func bind(_ socket: CInt, _ address: SocketAddress) -> CInt {
    address.withSockAddr { pointer, size in Glibc.bind(socket, pointer, socklen_t(size)) }
  }

  private static func port(of socket: CInt) -> Int {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
      let address = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      if getsockname(socket, address, &size) != 0 { return 0 }
      // The port lies behind the family in both versions of the protocol.
      return Int(bytes[2]) << 8 | Int(bytes[3])
    }
  }

  private static func failure(_ endpoint: Endpoint, _ code: CInt) -> TransportError {
    switch (endpoint, code) {
    case (.tcp(let host, let port), EADDRINUSE):
      TransportError(
        .addressInUse,
        "port \(port) on \(host) is in use: choose another port, or 0 for any")
    case (.tcp(_, let port), EACCES):
      TransportError(
        .unreachable, "port \(port) is reserved for the system: choose one above 1023")
    case (.tcp(let host, _), EADDRNOTAVAIL):
      TransportError(.unreachable, "\(host) is no address of this machine")
    default:
      TransportError(.unreachable, "cannot listen on \(endpoint): \(errorText(code))")
    }
  }
}

/// The file of a Unix socket that belongs to this process.
struct SocketFile: Sendable {
  let path: String
  let device: UInt64
  let inode: UInt64

  /// Replaces the file of a dead process, refuses to take that of a live one, and binds.
  static func claim(
    _ path: String, _ bind: () throws(TransportError) -> Void
  ) throws(TransportError) -> SocketFile {
    // Two processes that start at once must not both take one file for dead: the second would
    // remove what the first has just bound. The lock vanishes with the descriptor.
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { String(path[...$0]) } ?? "."
    let directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if directory < 0 {
      throw TransportError(
        .unreachable, "cannot listen on unix:\(path): \(parent): \(errorText(errno))")
    }
    defer { close(directory) }
    while flock(directory, LOCK_EX) != 0 && errno == EINTR {}
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFSOCK else {
        throw TransportError(
          .unreachable, "\(path) exists and is no socket: choose another path, or remove it")
      }
      if isAlive(path) {
        throw TransportError(
          .addressInUse, "unix:\(path) is in use by a running process: choose another path")
      }
      unlink(path)
    }
    try bind()
    guard lstat(path, &status) == 0 else {
      throw TransportError(.unreachable, "unix:\(path) vanished while it was being made")
    }
    return SocketFile(path: path, device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  /// Whether a process accepts connections there.
  private static func isAlive(_ path: String) -> Bool {
    let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let probe = socket(AF_UNIX, kind, 0)
    if probe < 0 { return true }
    defer { close(probe) }
    guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return true }
    let result = address.withSockAddr { pointer, size in
      connect(probe, pointer, socklen_t(size))
    }
    // A full backlog (EAGAIN) is a sign of life; so is anything that is not a refusal.
    return result == 0 || (errno != ECONNREFUSED && errno != ENOENT)
  }

  /// Removes the file, unless it is another process's by now.
  func remove() {
    var status = stat()
    guard lstat(path, &status) == 0, UInt64(status.st_dev) == device,
      UInt64(status.st_ino) == inode
    else { return }
    unlink(path)
  }
}

/// The system's words for an error number.
func errorText(_ code: CInt) -> String {
  var buffer = [CChar](repeating: 0, count: 256)
  if strerror_r(code, &buffer, buffer.count) == 0 {
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
  return "error \(code)"
}
