import ArgumentParser
import Foundation
import Logging
import Primitives
import RealWorld
import Workload

/// Options of `run` for the real world.
struct RealOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Node processes to start for each run; at most as many as the file's cluster has.",
      discussion: "With --cpus exactly as many as asked for.", valueName: "count"))
  var nodes: Int?

  @Option(parsing: .unconditional, help: "CPUs of each node: its workers.")
  var cpus: Int?

  @Option(parsing: .unconditional, help: "GPUs of each node, by name only.")
  var gpus: Int?

  @Option(
    help: ArgumentHelp("Object store of each node, such as 512MiB.", valueName: "size"))
  var store: String?

  @Option(
    help: ArgumentHelp("Run on the cluster of the node that listens here.", valueName: "address"))
  var connect: String?

  @Option(help: WorkersOption.help)
  var workers: WorkersOption?

  @OptionGroup var security: SecurityOptions

  /// Set by `heliostat cluster`.
  var showsNodes = false

  enum CodingKeys: String, CodingKey { case nodes, cpus, gpus, store, connect, workers, security }

  func validate(isReal: Bool) throws {
    let given: [(String, Bool)] = [
      ("--nodes", nodes != nil), ("--cpus", cpus != nil), ("--gpus", gpus != nil),
      ("--store", store != nil), ("--workers", workers != nil), ("--connect", connect != nil),
    ]
    if !isReal,
      let option = given.first(where: \.1)?.0 ?? security.given.first
    {
      throw BadInput(
        "\(option) is for --world real; simulated clusters are described in the file, see --set")
    }
    for (name, value, most) in [
      ("--nodes", nodes, 64), ("--cpus", cpus, 1024), ("--gpus", gpus, 1024),
    ] {
      guard let value else { continue }
      let least = name == "--gpus" ? 0 : 1
      guard (least...most).contains(value) else {
        throw BadInput("\(name) is \(value); expected \(least) to \(most)")
      }
    }
    if connect != nil, let option = given.dropLast().first(where: \.1) {
      throw BadInput("\(option.0) does not go with --connect: that cluster has its nodes")
    }
    if connect == nil, let option = security.given.first {
      throw BadInput(
        "\(option) is for --connect; the nodes that a run starts are reached from this machine alone"
      )
    }
    if let option = security.given.first(where: { $0 == "--tls-certificate" || $0 == "--tls-key" })
    {
      throw BadInput(
        "\(option) is for nodes; a program that connects shows no certificate: give --tls-roots")
    }
  }

  func storeSize() throws -> ByteCount? { try store.map { try Self.size($0, "--store") } }

  // MARK: Shared by the commands of the real world

  /// This executable, also when it is found by the search path.
  static var program: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? "/proc/self/exe"
  }

  /// Reads a size as workload files have it.
  static func size(_ text: String, _ option: String) throws -> ByteCount {
    let units: [(String, Double)] = [
      ("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30), ("TiB", 0x1p40), ("KB", 1e3),
      ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1),
    ]
    guard let (unit, factor) = units.first(where: { text.hasSuffix($0.0) }),
      let number = Double(text.dropLast(unit.count)), number > 0, number * factor < 0x1p50
    else { throw BadInput("\(option) \(text): expected a size, such as 512MiB or 2GB") }
    return ByteCount(UInt64((number * factor).rounded()))
  }

  static func check(directory path: String, _ option: String) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
      isDirectory.boolValue, FileManager.default.isWritableFile(atPath: path)
    else { throw BadInput("\(option) \(path): expected a directory that can be written") }
  }

  /// Reads a time as workload files have it.
  static func span(_ text: String, _ option: String) throws -> TimeSpan {
    let units: [(String, Double)] = [("ms", 1e-3), ("min", 60), ("h", 3600), ("s", 1)]
    guard let (unit, factor) = units.first(where: { text.hasSuffix($0.0) }),
      let number = Double(text.dropLast(unit.count)), number >= 0, number * factor < 1e6
    else { throw BadInput("\(option) \(text): expected a time, such as 10s or 500ms") }
    return TimeSpan(nanoseconds: UInt64((number * factor * 1e9).rounded()))
  }

  static func endpoint(_ text: String, _ option: String) throws -> Endpoint {
    do {
      return try Endpoint(parsing: text)
    } catch {
      throw BadInput("\(option): \(error)")
    }
  }

  /// One line for each event on standard error.
  static func logger(_ level: Logger.Level) -> Logger {
    var logger = Logger(label: "heliostat") { _ in TerminalLogHandler() }
    logger.logLevel = level
    return logger
  }
}

/// What both sides of a connection must agree on.
struct SecurityOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A file with the cluster's secret, at least 16 bytes.",
      discussion: "Needed as soon as an address is not of this machine alone. White space at the "
        + "end of the file does not count.",
      valueName: "file"))
  var secretFile: String?

  @Option(
    help: ArgumentHelp("The certificate chain that this node shows (PEM).", valueName: "file"))
  var tlsCertificate: String?

  @Option(help: ArgumentHelp("The private key of the certificate (PEM).", valueName: "file"))
  var tlsKey: String?

  @Option(
    help: ArgumentHelp(
      "What certificates of others must come from (PEM); the system's roots by default.",
      valueName: "file"))
  var tlsRoots: String?

  /// Those that the command line has.
  var given: [String] {
    [
      ("--secret-file", secretFile), ("--tls-certificate", tlsCertificate), ("--tls-key", tlsKey),
      ("--tls-roots", tlsRoots),
    ].compactMap { name, value in value.map { _ in name } }
  }

  /// What a program has to be given that connects to nodes with these options; it needs no certificate.
  var connecting: String {
    var text = secretFile.map { " --secret-file \($0)" } ?? ""
    if tlsCertificate != nil || tlsRoots != nil { text += " --tls-roots \(tlsRoots ?? "ROOTS")" }
    return text
  }

  func transport() throws -> TransportConfiguration {
    var transport = TransportConfiguration()
    if let secretFile {
      guard var bytes = FileManager.default.contents(atPath: secretFile) else {
        throw BadInput("--secret-file \(secretFile): cannot be read")
      }
      while let last = bytes.last, last == 10 || last == 13 || last == 32 { bytes.removeLast() }
      do {
        transport.secret = try Secret(bytes)
      } catch {
        throw BadInput("--secret-file \(secretFile): \(error)")
      }
    }
    guard (tlsCertificate == nil) == (tlsKey == nil) else {
      throw BadInput("--tls-certificate and --tls-key go together")
    }
    for (option, file) in [
      ("--tls-certificate", tlsCertificate), ("--tls-key", tlsKey), ("--tls-roots", tlsRoots),
    ] {
      if let file, !FileManager.default.isReadableFile(atPath: file) {
        throw BadInput("\(option) \(file): cannot be read")
      }
    }
    if tlsCertificate != nil || tlsRoots != nil {
      transport.tls = TLSSettings(
        certificateChainFile: tlsCertificate, privateKeyFile: tlsKey, trustRootsFile: tlsRoots)
    }
    return transport
  }
}
