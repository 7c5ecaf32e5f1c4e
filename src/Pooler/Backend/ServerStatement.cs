namespace Pooler.Backend;

/// <summary>A prepared statement on one server.</summary>
internal sealed class ServerStatement(PreparedStatement statement, byte[] name)
{
    internal ServerStatement? Newer, Older;

    public PreparedStatement Statement { get; } = statement;

    /// <summary>Its name there.</summary>
    public byte[] Name { get; } = name;

    /// <summary>The last <see cref="ServerStatements.Round"/> in which it was used.</summary>
    public long Round { get; set; }

    /// <summary>PostgreSQL has refused its plan: it is closed and prepared anew at its next use.</summary>
    public bool IsStale { get; set; }
}
