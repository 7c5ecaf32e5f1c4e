namespace Pooler.Benchmarks;

/// <summary>The work is done on I/O threads: the budget counts what the whole process allocates meanwhile.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class UsesOtherThreadsAttribute : Attribute;
