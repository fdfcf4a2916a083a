import Heliostat
import Measurement
import Primitives
import RealWorld

extension RealBench {
  /// The transport alone, without the protocol.
  func network(_ report: Report) async throws {
    let bytes = scaled(Self.largeObject, least: 4 << 20)
    let stream = try await median { try RawLimits.socketStream(bytes: bytes) }
    report(
      BenchmarkResult(
        name: "network.frames", value: try await frameLimit(length: 64), unit: "frames/s",
        limit: stream / 64, limitMeaning: "64 bytes each of a raw TCP stream"))
    let rounds = scaled(10_000, least: 50)
    let trip = try await median {
      let link = try await LinkLimits(echoes: true)
      do {
        var latencies = LatencyRecorder()
        for time in try await link.roundTrips(rounds) { latencies.record(time) }
        await link.close()
        return latencies.percentile(50).seconds
      } catch {
        await link.close()
        throw error
      }
    }
    report(
      BenchmarkResult(
        name: "network.round_trip", value: trip, unit: "s",
        limit: try await median { try RawLimits.socketPingPong(rounds: rounds) },
        limitMeaning: "p50 of a blocking TCP ping-pong of 64 bytes"))
    let frame = 1 << 20
    let frames = try await median {
      let link = try await LinkLimits(echoes: false)
      do {
        let rate = try await link.frameRate(frames: max(1, bytes / frame), length: frame)
        await link.close()
        return rate
      } catch {
        await link.close()
        throw error
      }
    }
    report(
      BenchmarkResult(
        name: "network.stream", value: frames * Double(frame), unit: "B/s", limit: stream,
        limitMeaning: "one raw TCP stream on loopback"))
  }
}
