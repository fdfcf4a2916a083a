// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "heliostat-microbenchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    // Named, because a package at a path is otherwise called after its folder.
    .package(name: "heliostat", path: "../.."),
    .package(url: "https://github.com/google/swift-benchmark", from: "0.1.2"),
  ],
  targets: [
    .executableTarget(
      name: "PrimitiveBenchmarks",
      dependencies: [
        .product(name: "HeliostatInternals", package: "heliostat"),
        .product(name: "Benchmark", package: "swift-benchmark"),
      ],
      path: "Primitives")
  ],
  swiftLanguageModes: [.v6]
)
