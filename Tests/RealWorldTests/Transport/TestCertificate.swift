import Glibc

@testable import RealWorld

/// A certificate for localhost and 127.0.0.1 that signs itself, with its key: for tests alone. It is
/// valid from 2000 to 2200, because the clock of a machine that runs tests may be wrong by years.
///
/// Made with `openssl req -new` (of a key on the curve prime256v1, `CN=localhost`) and
/// `openssl ca -selfsign -startdate 20000101000000Z -enddate 22000101000000Z`, with the extension
/// `subjectAltName=DNS:localhost,IP:127.0.0.1`.
enum TestCertificate {
  static let certificateFile = write(certificate, "cert")
  static let keyFile = write(key, "key")

  static var serverSide: TransportConfiguration {
    TransportConfiguration(
      tls: TLSSettings(certificateChainFile: certificateFile, privateKeyFile: keyFile))
  }

  static var clientSide: TransportConfiguration {
    TransportConfiguration(tls: TLSSettings(trustRootsFile: certificateFile))
  }

  private static func write(_ text: String, _ name: String) -> String {
    let path = "/tmp/heliostat-test-\(getpid())-\(name).pem"
    let file = creat(path, 0o600)
    defer { close(file) }
    _ = text.withCString { Glibc.write(file, $0, strlen($0)) }
    atexit {
      unlink("/tmp/heliostat-test-\(getpid())-cert.pem")
      unlink("/tmp/heliostat-test-\(getpid())-key.pem")
    }
    return path
  }

  static let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBmzCCAUGgAwIBAgIUJm3Ssr9RGLpqXsOw6VwVNnD0DNMwCgYIKoZIzj0EAwIw
    FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTAwMDEwMTAwMDAwMFoYDzIyMDAwMTAx
    MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
    PQMBBwNCAAS5dM8an9QC8alhppQgo2pdgtUW9diPBniWJNJHAxQv4+B/dUh47ymD
    O8jjiTLkiZgv053nKFRFmTnHEryWjIlIo28wbTAdBgNVHQ4EFgQU4UvDG1ashQ6Z
    CL+bqDeRN+1ap4cwHwYDVR0jBBgwFoAU4UvDG1ashQ6ZCL+bqDeRN+1ap4cwDwYD
    VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
    zj0EAwIDSAAwRQIgYfUwIw09neGgSIdt7PSoLRhcSFMfAvuK1M/EfNe5cvUCIQCw
    LS7NuAbaWJVTVx0ncbDHKMM792gu1ztsd1M9CzLQsA==
    -----END CERTIFICATE-----

    """

  static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaAWyCt/xXVpLwiSY
    aLy+1k60mvJ8S4+wX+lFWFnyoqChRANCAAS5dM8an9QC8alhppQgo2pdgtUW9diP
    BniWJNJHAxQv4+B/dUh47ymDO8jjiTLkiZgv053nKFRFmTnHEryWjIlI
    -----END PRIVATE KEY-----

    """
}
