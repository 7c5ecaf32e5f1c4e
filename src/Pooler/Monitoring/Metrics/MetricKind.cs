namespace Pooler.Monitoring;

internal enum MetricKind
{
    /// <summary>Only rises, from the start of the process.</summary>
    Counter,

    Gauge,

    /// <summary>Times, counted by how long they were.</summary>
    Histogram,
}
