// swift-tools-version: 6.1
import PackageDescription

// One table of rooms. Imports run downward only: see ARCHITECTURE.md, "Rooms".
let package = Package(
  name: "heliostat",
  products: [
    .library(name: "Heliostat", targets: ["Heliostat"]),
    .executable(name: "heliostat", targets: ["HeliostatCLI"]),
    // For the nested package Benchmarks alone. Unstable: it may change with any release.
    .library(
      name: "HeliostatInternals",
      targets: [
        "Primitives", "Scheduling", "RuntimeCore", "Simulation", "WireFormat", "RealWorld",
        "Heliostat", "Workload", "Measurement", "Experiments", "CAllocationCounter",
      ]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/ordo-one/TextTable", from: "0.0.2"),
    .package(url: "https://github.com/swiftcsv/SwiftCSV", from: "0.10.0"),
    .package(url: "https://github.com/apple/swift-numerics", from: "1.1.1"),
    .package(url: "https://github.com/apple/swift-algorithms", from: "1.2.1"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-atomics", from: "1.3.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // MARK: Below the worlds: no clock, no system randomness, no Foundation.
    .target(
      name: "Primitives",
      dependencies: ["CPrefetch", .product(name: "RealModule", package: "swift-numerics")]),
    .target(name: "Scheduling", dependencies: ["Primitives"]),
    .target(name: "RuntimeCore", dependencies: ["Primitives", "Scheduling"]),
    .target(name: "Recording", dependencies: ["Primitives", "Scheduling", "RuntimeCore"]),
    .target(
      name: "Simulation", dependencies: ["Primitives", "Scheduling", "RuntimeCore", "Recording"]),
    .target(name: "WireFormat", dependencies: ["Primitives", "RuntimeCore"]),
    // MARK: The world of processes, sockets and shared memory.
    .target(name: "CStreamingCopy"),
    .target(
      name: "RealWorld",
      dependencies: [
        "Primitives", "Scheduling", "RuntimeCore", "WireFormat", "Recording", "CStreamingCopy",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "DequeModule", package: "swift-collections"),
      ]),
    // MARK: The programmer's API and what runs on it.
    .target(
      name: "Heliostat",
      dependencies: [
        "Primitives", "Scheduling", "RuntimeCore", "Recording", "Simulation", "RealWorld",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .target(
      name: "Workload",
      dependencies: [
        "Primitives", "Scheduling", "RuntimeCore", "Simulation", "Heliostat", "Measurement", "Yams",
        .product(name: "Algorithms", package: "swift-algorithms"),
        .product(name: "RealModule", package: "swift-numerics"),
      ]),
    // MARK: What is measured, and how it is shown.
    .target(
      name: "Measurement",
      dependencies: [
        "Primitives",
        .product(name: "Histogram", package: "hdrhistogram-swift"),
        .product(name: "RealModule", package: "swift-numerics"),
      ]),
    .target(
      name: "Reporting",
      dependencies: ["Primitives", "Measurement", "TextTable", "SwiftCSV"]),
    .target(
      name: "Experiments",
      dependencies: [
        "Primitives", "Scheduling", "RuntimeCore", "WireFormat", "Recording", "Simulation",
        "RealWorld", "Heliostat",
        "Workload", "Measurement", "Reporting", "CAllocationCounter",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .target(name: "CAllocationCounter"),
    // One instruction that Swift has no name for.
    .target(name: "CPrefetch"),
    .executableTarget(
      name: "HeliostatCLI",
      dependencies: [
        "Experiments", "Workload", "Reporting", "Scheduling", "Heliostat", "RealWorld",
        "Recording", "RuntimeCore", "Primitives",
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Atomics", package: "swift-atomics"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    // MARK: Tests, one folder per room.
    .testTarget(name: "PrimitivesTests", dependencies: ["Primitives"]),
    .testTarget(name: "SchedulingTests", dependencies: ["Scheduling", "Primitives"]),
    .testTarget(
      name: "RuntimeCoreTests", dependencies: ["RuntimeCore", "Scheduling", "Primitives"]),
    .testTarget(
      name: "WireFormatTests",
      dependencies: ["WireFormat", "RuntimeCore", "Scheduling", "Primitives"]),
    .testTarget(
      name: "RecordingTests",
      dependencies: [
        "Recording", "Heliostat", "RealWorld", "Simulation", "RuntimeCore", "Scheduling",
        "Primitives",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .testTarget(
      name: "SimulationTests",
      dependencies: [
        "Simulation", "RuntimeCore", "Scheduling", "Primitives", "Heliostat", "CAllocationCounter",
      ]),
    // What tests of worker processes, and of nodes that are killed, start.
    .executableTarget(
      name: "WorkerFixture",
      dependencies: [
        "Heliostat", "RealWorld", "RuntimeCore", "Primitives",
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ],
      path: "Tests/WorkerFixture"),
    .testTarget(
      name: "HeliostatTests",
      dependencies: [
        "Heliostat", "Simulation", "RealWorld", "RuntimeCore", "Scheduling", "Primitives",
        "WorkerFixture",
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .testTarget(
      name: "RealWorldTests",
      dependencies: [
        "RealWorld", "WireFormat", "RuntimeCore", "Scheduling", "Primitives",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .testTarget(
      name: "WorkloadTests",
      dependencies: [
        "Workload", "Heliostat", "RealWorld", "Simulation", "RuntimeCore", "Scheduling",
        "Primitives",
      ]),
    .testTarget(name: "MeasurementTests", dependencies: ["Measurement", "Primitives"]),
    .testTarget(name: "ReportingTests", dependencies: ["Reporting", "Measurement", "Primitives"]),
    .testTarget(
      name: "ExperimentsTests",
      dependencies: [
        "Experiments", "HeliostatCLI", "Workload", "Reporting", "Measurement", "Simulation",
        "RuntimeCore", "Heliostat", "Primitives",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
