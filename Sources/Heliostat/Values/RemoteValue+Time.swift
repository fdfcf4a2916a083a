import Primitives

/// Nanoseconds, as they lie in memory.
extension TimeSpan: PlainValue {}
