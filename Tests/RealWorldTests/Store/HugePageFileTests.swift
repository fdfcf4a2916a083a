import Glibc
import Primitives
import Testing

@testable import RealWorld

@Suite("Files in memory with huge pages") struct HugePageFileTests {
  private static let isAllowed = opens(mayMount: true)

  private static func opens(mayMount: Bool) -> Bool {
    guard let file = try? HugePageFile.open(byteCount: 2 << 20, mayMount: mayMount) else {
      return false
    }
    defer { close(file) }
    return ftruncate(file, 2 << 20) == 0 && blockBytes(of: file) == 2 << 20
  }

  private static func blockBytes(of file: Int32) -> Int {
    var status = stat()
    return fstat(file, &status) == 0 ? Int(status.st_blksize) : 0
  }

  /// The devices of all file systems that this process sees, as `major:minor`; proc(5).
  private static func mountedDevices() throws -> Set<Substring> {
    let lines = try String(contentsOfKernelFile: "/proc/self/mountinfo").split(separator: "\n")
    return Set(lines.compactMap { $0.split(separator: " ").dropFirst(2).first })
  }

  /// As the kernel writes it there; makedev(3).
  private static func name(ofDevice device: dev_t) -> Substring {
    let major = device >> 8 & 0xFFF | device >> 32 & ~0xFFF
    let minor = device & 0xFF | device >> 12 & ~0xFF
    return "\(major):\(minor)"
  }

  @Test("The file system of a file is found among those that are mounted")
  func mounted() throws {
    var status = stat()
    #expect(stat("/proc/self", &status) == 0)
    #expect(try Self.mountedDevices().contains(Self.name(ofDevice: status.st_dev)))
  }

  @Test(
    "A file made with the right to mount, or in a namespace without it, is this user's alone",
    .enabled(if: isAllowed && opens(mayMount: false), "needs user namespaces"),
    arguments: [true, false])
  func ownership(mayMount: Bool) throws {
    let file = try HugePageFile.open(byteCount: 4 << 20, mayMount: mayMount)
    defer { close(file) }
    #expect(fcntl(file, F_GETFD) == FD_CLOEXEC)
    var status = stat()
    #expect(fstat(file, &status) == 0)
    // Others may mount at the same time; its own file system is mounted nowhere.
    let mounts = try Self.mountedDevices()
    #expect(!mounts.isEmpty && !mounts.contains(Self.name(ofDevice: status.st_dev)))
    #expect(status.st_uid == geteuid() && status.st_mode & 0o777 == 0o600 && status.st_nlink == 0)
    // It takes what it was made for, and no more.
    #expect(Fallocate.run(file, 0, 4 << 20) == nil)
    #expect(Fallocate.run(file, 4 << 20, 2 << 20) == ENOSPC)
  }

  @Test(
    "A store that asks for huge pages has them in the mappings of owner and client",
    .enabled(if: isAllowed, "needs the right to make a file system"))
  func pages() throws {
    let owner = try SharedSegment.create(byteCount: (5 << 20) + 1, in: [.hugePages])
    #expect(owner.byteCount == (5 << 20) + 4096 && owner.hasHugePages)
    let client = try SharedSegment.attach(path: owner.path, writable: true)
    #expect(client.hasHugePages)
    for segment in [owner, client] {
      #expect(UInt(bitPattern: segment.base) % UInt(2 << 20) == 0)
    }
    let count = owner.byteCount - 1
    let bytes = pattern(1, count)
    try bytes.withUnsafeBytes { source in
      try client.write(source.baseAddress!, count: count, at: 1)
    }
    #expect(owner.bytes(at: 1, count: count).elementsEqual(bytes))
    #expect(owner.bytes(at: 0, count: 1)[0] == 0)
  }

  @Test("Elsewhere a segment's pages are small, and it says so")
  func elsewhere() throws {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    let segment = try SharedSegment.create(
      byteCount: 4 << 20, in: [.directory(directory.path)])
    #expect(!segment.hasHugePages)
  }

  @Test("Memory given back in the middle of huge pages is zero again, what is around stays")
  func givenBack() throws {
    let segment = try SharedSegment.create(byteCount: 8 << 20)
    let bytes = pattern(2, 8 << 20)
    try bytes.withUnsafeBytes { source in
      try segment.write(source.baseAddress!, count: 8 << 20, at: 0)
    }
    segment.decommit(3...4)
    #expect(
      !segment.isCommitted(at: 3 << 20, count: 1) && segment.isCommitted(at: 0, count: 3 << 20))
    #expect(segment.bytes(at: 0, count: 3 << 20).elementsEqual(bytes[..<(3 << 20)]))
    #expect(segment.bytes(at: 3 << 20, count: 2 << 20).allSatisfy { $0 == 0 })
    #expect(segment.bytes(at: 5 << 20, count: 3 << 20).elementsEqual(bytes[(5 << 20)...]))
  }
}

extension String {
  /// Files of the kernel have no size.
  init(contentsOfKernelFile path: String) throws {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    try #require(file >= 0)
    defer { close(file) }
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(file, &piece, piece.count)
      if count <= 0 { break }
      text += piece[..<count]
    }
    self.init(decoding: text, as: UTF8.self)
  }
}
