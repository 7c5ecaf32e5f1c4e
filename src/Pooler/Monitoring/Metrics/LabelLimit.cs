using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>
/// Bounds the series of each family, whatever names clients bring: a monitoring system pays for every series, and an entry * makes a
/// database of any name. Who comes first stays, so that no counter falls; the rest is one sample under "other".
/// </summary>
internal sealed class LabelLimit
{
    /// <summary>A histogram is some twenty series.</summary>
    public const int Most = 1000, MostHistograms = 200;

    public const string Other = "other";

    private readonly Dictionary<MetricFamily, HashSet<string>> _admitted = [];

    /// <summary>One caller at a time.</summary>
    public List<Sample> Apply(MetricFamily family, IEnumerable<Sample> samples)
    {
        List<Sample> all = [.. samples];
        int most = family.Kind == MetricKind.Histogram ? MostHistograms : Most;
        if (all.Count <= most && !_admitted.ContainsKey(family))
        {
            return all;
        }

        HashSet<string> before = _admitted.GetValueOrDefault(family) ?? [], now = [];
        List<Sample> kept = [], rest = [];

        // Those that were here before come first, so that nobody takes their place.
        foreach (Sample sample in all.OrderByDescending(s => before.Contains(KeyOf(s))))
        {
            bool fits = kept.Count < most;
            (fits ? kept : rest).Add(sample);
            _ = fits && now.Add(KeyOf(sample));
        }

        _admitted[family] = now;
        if (rest.Count > 0)
        {
            string[] labels = [.. family.Labels.Select(static _ => Other)];
            double value = family.IsMaximum ? rest.Max(static s => s.Value) : rest.Sum(static s => s.Value);
            kept.Add(new Sample(labels, value, family.Kind == MetricKind.Histogram ? Histogram.SumOf(rest.Select(static s => s.Times!)) : null));
        }

        return kept;
    }

    private static string KeyOf(Sample sample) => string.Join('\x1f', sample.Labels);
}
