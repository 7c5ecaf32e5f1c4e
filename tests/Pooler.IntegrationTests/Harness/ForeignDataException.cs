namespace Pooler.IntegrationTests.Harness;

/// <summary>A client saw something that was not its own: the one thing that must never happen.</summary>
internal sealed class ForeignDataException(string message) : Exception(message);
