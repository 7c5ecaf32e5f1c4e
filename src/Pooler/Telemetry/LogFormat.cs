namespace Pooler.Telemetry;

/// <summary>The setting log_format.</summary>
internal enum LogFormat
{
    /// <summary>PgBouncer's lines.</summary>
    Text,

    /// <summary>A JSON object a line, with the keys of PostgreSQL's jsonlog where it has them.</summary>
    Json,
}
