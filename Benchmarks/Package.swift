// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that nobody who uses the library builds benchmark tools.
let package = Package(
  name: "heliostat-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    // Named, because a package at a path is otherwise called after its folder.
    .package(name: "heliostat", path: ".."),
    // Without traits: its interposer of malloc would meet the library's own counter.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    .package(url: "https://github.com/google/swift-benchmark", from: "0.1.2"),
  ],
  targets: [
    // `swift package benchmark` runs every executable in a folder that lies in one named
    // "Benchmarks", so the other suite must not.
    .executableTarget(
      name: "SimulatorBenchmarks",
      dependencies: [
        .product(name: "HeliostatInternals", package: "heliostat"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Simulator",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    // Both libraries have a module `Benchmark`: the binary holds this one under another name, while
    // the sources import it as `Benchmark`.
    .executableTarget(
      name: "PrimitiveBenchmarks",
      dependencies: [
        .product(name: "HeliostatInternals", package: "heliostat"),
        .product(
          name: "Benchmark", package: "swift-benchmark",
          moduleAliases: ["Benchmark": "GoogleBenchmark"]),
      ],
      path: "Microbenchmarks/Primitives"),
  ],
  swiftLanguageModes: [.v6]
)
