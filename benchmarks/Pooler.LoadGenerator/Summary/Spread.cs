namespace Pooler.LoadGenerator.Summary;

/// <summary>The median of a few rounds, and between what they lay. NaN without rounds.</summary>
internal readonly record struct Spread(double Median, double Min, double Max, int Count)
{
    public static Spread Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int half = sorted.Length / 2;
        return sorted.Length == 0
            ? default
            : new Spread(sorted.Length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2, sorted[0], sorted[^1], sorted.Length);
    }

    public string ToText(string format)
    {
        (string median, string min, string max) = (Median.ToString(format), Min.ToString(format), Max.ToString(format));
        return Count == 0 ? "–" : min == max ? median : $"{median} ({min}–{max})";
    }
}
