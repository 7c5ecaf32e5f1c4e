namespace Pooler;

/// <summary>The process cannot start, and the operator can do something about it: the message says what.</summary>
internal sealed class StartException(string message) : Exception(message);
