extension Driver {
  /// Why a message of a recording cannot be meant for this machine; nil when it can.
  public func problem(with message: Message) -> String? {
    switch message {
    case .objectReady, .taskForwarded, .timerFired, .pollAnswered: nil
    default: "a driver is not told \(message.kind.name)"
    }
  }
}
