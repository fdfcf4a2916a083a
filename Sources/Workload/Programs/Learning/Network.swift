import Primitives
import RealModule

/// The shape of a fully connected network with tanh between its layers and a linear output. Without
/// hidden layers it is a linear map with a bias.
///
/// Parameters are one flat vector, layer after layer: the weights, those of one *input* side by
/// side, then the biases. So the inner loops run over neighbours and vectorise without a change in
/// the order of additions: a result is the same in debug and release builds. It depends on the
/// platform only through its `tanh`.
struct Network: Codable, Sendable, Equatable {
  /// Widths from the input to the output.
  let widths: [Int]

  init(inputs: Int, hidden: [Int], outputs: Int) {
    widths = [inputs] + hidden + [outputs]
  }

  var inputCount: Int { widths[0] }
  var outputCount: Int { widths[widths.count - 1] }
  var parameterCount: Int { zip(widths, widths.dropFirst()).reduce(0) { $0 + ($1.0 + 1) * $1.1 } }
  /// Numbers on a tape: the input, the activations of every layer, the output.
  var tapeCount: Int { widths.reduce(0, +) }

  /// - Throws: `ProgramError` when a vector of `count` numbers is too short for this network.
  func requireParameters(_ count: Int) throws {
    guard count >= parameterCount else {
      throw ProgramError("a network \(widths) takes \(parameterCount) parameters, got \(count)")
    }
  }

  /// First parameters: weights are normal with variance 1 ÷ inputs (Y. LeCun et al., "Efficient
  /// BackProp", 1998), those of the last layer times `outputScale`; biases are 0.
  func initial(_ random: inout RandomStream, outputScale: Double) -> [Double] {
    var parameters: [Double] = []
    parameters.reserveCapacity(parameterCount)
    for layer in 1..<widths.count {
      let scale =
        (1 / Double(widths[layer - 1])).squareRoot() * (layer == widths.count - 1 ? outputScale : 1)
      for _ in 0..<widths[layer - 1] * widths[layer] { parameters.append(scale * random.normal()) }
      for _ in 0..<widths[layer] { parameters.append(0) }
    }
    return parameters
  }

  /// Computes the output from the input at the start of `tape`, and leaves all activations there.
  ///
  /// - Returns: where on the tape the output begins.
  @discardableResult
  func forward(
    _ parameters: UnsafePointer<Double>, _ tape: UnsafeMutablePointer<Double>
  ) -> Int {
    var weights = parameters
    var from = 0
    for layer in 1..<widths.count {
      let inputs = widths[layer - 1]
      let outputs = widths[layer]
      let input = tape + from
      let output = input + inputs
      let biases = weights + inputs * outputs
      for j in 0..<outputs { output[j] = biases[j] }
      for i in 0..<inputs {
        let x = input[i]
        let row = weights + i * outputs
        for j in 0..<outputs { output[j] += x * row[j] }
      }
      if layer < widths.count - 1 {
        for j in 0..<outputs { output[j] = Double.tanh(output[j]) }
      }
      weights = biases + outputs
      from += inputs
    }
    return from
  }

  /// Adds to `gradient` the derivative of a loss by each parameter, by back-propagation.
  ///
  /// - Parameters:
  ///   - tape: as `forward` left it.
  ///   - deltas: as long as a tape; its output part holds the derivative of the loss by the
  ///     outputs. The rest is overwritten.
  func backward(
    _ parameters: UnsafePointer<Double>, _ tape: UnsafePointer<Double>,
    _ deltas: UnsafeMutablePointer<Double>, into gradient: UnsafeMutablePointer<Double>
  ) {
    var end = parameterCount
    var from = tapeCount - outputCount
    for layer in (1..<widths.count).reversed() {
      let inputs = widths[layer - 1]
      let outputs = widths[layer]
      let delta = deltas + from
      from -= inputs
      end -= (inputs + 1) * outputs
      let weights = parameters + end
      let weightGradient = gradient + end
      let biasGradient = weightGradient + inputs * outputs
      for j in 0..<outputs { biasGradient[j] += delta[j] }
      for i in 0..<inputs {
        let x = tape[from + i]
        let rowGradient = weightGradient + i * outputs
        for j in 0..<outputs { rowGradient[j] += x * delta[j] }
        // The input of the first layer has no derivative that anybody needs.
        if layer == 1 { continue }
        let row = weights + i * outputs
        var sum = 0.0
        for j in 0..<outputs { sum += row[j] * delta[j] }
        // The derivative of tanh, by its value.
        deltas[from + i] = sum * (1 - x * x)
      }
    }
  }
}
