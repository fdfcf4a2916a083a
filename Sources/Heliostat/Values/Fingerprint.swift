/// Hashes of type names: the same in every process.
public enum Fingerprint {
  /// The 32-bit FNV-1a hash of `name` (Fowler, Noll and Vo).
  public static func of(name: String) -> UInt32 {
    var hash: UInt32 = 0x811C_9DC5
    for byte in name.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
    return hash
  }

  /// The fingerprint of a type that is made of others: `Array` of `Int`.
  public static func of(name: String, _ parts: UInt32...) -> UInt32 {
    var hash = of(name: name)
    for part in parts {
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        hash = (hash ^ (part >> shift & 0xFF)) &* 0x0100_0193
      }
    }
    return hash
  }

  /// The name of a well-known type with this fingerprint, for error messages.
  static func name(_ fingerprint: UInt32) -> String {
    if fingerprint == void { return "Void" }
    let known: [any RemoteValue.Type] = [
      Int.self, Double.self, String.self, Bool.self, Float.self, Int8.self, Int16.self,
      Int32.self, Int64.self, UInt.self, UInt8.self, UInt16.self, UInt32.self, UInt64.self,
      [Int].self, [Double].self, [String].self, [Bool].self, [Float].self, [Int32].self,
      [UInt8].self, [[Double]].self, [String: Int].self, [String: Double].self,
      [String: String].self, Int?.self, Double?.self, String?.self,
    ]
    for type in known where type.fingerprint == fingerprint { return "\(type)" }
    let digits = String(fingerprint, radix: 16)
    return "with fingerprint 0x" + String(repeating: "0", count: 8 - digits.count) + digits
  }

  static var void: UInt32 { of(name: "Void") }
}
