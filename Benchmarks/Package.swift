// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that nobody who uses the library builds benchmark tools. The suite in
// Microbenchmarks is another: its tool and this one's both have a module `Benchmark`, which one package holds
// only in a clone whose folder is named as the package.
let package = Package(
  name: "heliostat-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    // Named, because a package at a path is otherwise called after its folder.
    .package(name: "heliostat", path: ".."),
    // Without traits: its interposer of malloc would meet the library's own counter.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .target(
      name: "BenchmarkSupport",
      dependencies: [
        .product(name: "HeliostatInternals", package: "heliostat"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Support"),
    .executableTarget(
      name: "SimulatorBenchmarks",
      dependencies: [
        "BenchmarkSupport",
        .product(name: "HeliostatInternals", package: "heliostat"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Simulator",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    .executableTarget(
      name: "RealWorldBenchmarks",
      dependencies: [
        "BenchmarkSupport",
        .product(name: "HeliostatInternals", package: "heliostat"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/RealWorld",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ],
  swiftLanguageModes: [.v6]
)
