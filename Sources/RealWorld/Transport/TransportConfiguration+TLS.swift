import NIOSSL

extension TLSSettings {
  func serverContext() throws(TransportError) -> NIOSSLContext {
    guard let certificateChainFile, let privateKeyFile else {
      throw TransportError(
        .configuration, "a listener with TLS needs a certificate chain file and a key file")
    }
    let chain = try read(certificateChainFile) { try NIOSSLCertificate.fromPEMFile($0) }
    let key = try read(privateKeyFile) { try NIOSSLPrivateKey(file: $0, format: .pem) }
    var settings = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
    settings.minimumTLSVersion = .tlsv12
    return try context(settings)
  }

  func clientContext() throws(TransportError) -> NIOSSLContext {
    var settings = TLSConfiguration.makeClientConfiguration()
    settings.minimumTLSVersion = .tlsv12
    if let trustRootsFile {
      let roots = try read(trustRootsFile) { try NIOSSLCertificate.fromPEMFile($0) }
      settings.trustRoots = .certificates(roots)
    }
    settings.certificateVerification =
      verifiesHostName ? .fullVerification : .noHostnameVerification
    return try context(settings)
  }

  private func read<T>(
    _ file: String, _ body: (String) throws -> T
  ) throws(TransportError) -> T {
    do { return try body(file) } catch {
      throw TransportError(
        .configuration, "cannot read \(file) as PEM for TLS: \(printable("\(error)"))")
    }
  }

  private func context(_ settings: TLSConfiguration) throws(TransportError) -> NIOSSLContext {
    do { return try NIOSSLContext(configuration: settings) } catch {
      throw TransportError(
        .configuration,
        "the certificate and the key do not fit together: \(printable("\(error)"))")
    }
  }
}
