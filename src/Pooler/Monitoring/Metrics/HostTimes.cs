using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>How long things took with the servers of one user in one database on one host, by I/O thread.</summary>
internal sealed record HostTimes(string Database, string User, string Host, IReadOnlyList<ServerTimes> Parts)
{
    public Sample Of(Func<ServerTimes, Histogram> which) => new([Database, User, Host], 0, Histogram.SumOf(Parts.Select(which)));
}
