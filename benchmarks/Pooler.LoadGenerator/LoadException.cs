namespace Pooler.LoadGenerator;

/// <summary>The load could not be brought: its message is for the person at the console.</summary>
internal sealed class LoadException(string message) : Exception(message);
