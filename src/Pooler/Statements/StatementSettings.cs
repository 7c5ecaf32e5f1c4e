namespace Pooler.Statements;

/// <summary>What is wanted of statements, as one I/O thread goes by it.</summary>
internal sealed record StatementSettings
{
    public static readonly StatementSettings Off = new();

    /// <summary>Statements are counted for SHOW STATEMENTS.</summary>
    public bool Counts { get; init; }

    /// <summary>Bytes that the table may take.</summary>
    public long Budget { get; init; }

    /// <summary>Microseconds after which a statement is logged as slow; the longest time there is: none.</summary>
    public long SlowAfter { get; init; } = long.MaxValue;

    /// <summary>Lines of this thread a second.</summary>
    public int LinesPerSecond { get; init; }

    /// <summary>Whose statements are logged all the same; null: nobody's.</summary>
    public QueryLogRule[]? Logged { get; init; }

    /// <summary>Of statements without a trace of their own this share is traced; 0: tracing is off.</summary>
    public double SampleRatio { get; init; }

    /// <summary>As in the names of clients in log lines.</summary>
    public int ListenPort { get; init; }

    public bool IsOn => Counts || SlowAfter < long.MaxValue || Logged != null || SampleRatio > 0;
}
