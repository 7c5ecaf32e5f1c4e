using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>One value of a family, under these values of its labels; of a histogram its counts.</summary>
internal readonly record struct Sample(string[] Labels, double Value, Histogram? Times = null)
{
    public static Sample Of(double value, params string[] labels) => new(labels, value);

    public static Sample Of(bool value, params string[] labels) => new(labels, value ? 1 : 0);
}
