using System.Globalization;
using System.Text;

namespace Pooler.LoadGenerator.Summary;

/// <summary>The main comparison as one SVG: CPU time per transaction as a share of PgBouncer's, a group of bars for each case.</summary>
internal static class Picture
{
    private const int Left = 60, Top = 50, Height = 220, BarWidth = 16, Gap = 18, Legend = 24;

    private static readonly string[] s_colours = ["#9aa0a6", "#f29900", "#1a73e8", "#188038", "#a142f4", "#d93025", "#00838f", "#795548"];

    /// <summary>Null when no case was run with PgBouncer.</summary>
    public static string? Draw(IReadOnlyList<ResultLine> lines)
    {
        List<SummaryRow> rows = [.. SummaryRow.Of(lines).Where(row => row.Contender != "direct" && Share(row, lines) is { Count: > 0 })];
        if (rows.Count == 0)
        {
            return null;
        }

        string[] contenders = [.. rows.Select(row => row.Contender).Distinct()];

        // Bars end at twice PgBouncer's share: what costs more would make all others small.
        double top = Math.Clamp(rows.Max(row => Share(row, lines).Median) * 1.05, 1.2, 2);
        var svg = new StringBuilder();
        int x = Left;
        foreach (IGrouping<string, SummaryRow> group in rows.GroupBy(row => row.Case))
        {
            int start = x;
            foreach (SummaryRow row in group)
            {
                Bar(svg, x, Share(row, lines), top, s_colours[Array.IndexOf(contenders, row.Contender) % s_colours.Length]);
                x += BarWidth;
            }

            Text(svg, (start + x) / 2, Top + Height + 16, "middle", group.Key.Replace(" clients", "", StringComparison.Ordinal));
            x += Gap;
        }

        double one = Y(1, top);
        int width = Math.Max(x, Left + (contenders.Length * 130)) + Gap;
        svg.Append(CultureInfo.InvariantCulture, $"<line x1='{Left}' x2='{x}' y1='{one:F1}' y2='{one:F1}' stroke='#202124' stroke-dasharray='4 3'/>");
        Text(svg, Left - 6, (int)one + 4, "end", "1.0");
        Text(svg, Left, 20, "start", "CPU time per transaction ÷ PgBouncer's (median, and smallest to largest of the rounds); fewer is better");
        for (int i = 0; i < contenders.Length; i++)
        {
            int at = Left + (i * 130);
            svg.Append(CultureInfo.InvariantCulture, $"<rect x='{at}' y='{Legend + 4}' width='10' height='10' fill='{s_colours[i % s_colours.Length]}'/>");
            Text(svg, at + 14, Legend + 13, "start", contenders[i]);
        }

        return $"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {Top + Height + 30}' font-family='sans-serif' font-size='11'>"
            + $"<rect width='100%' height='100%' fill='#ffffff'/>{svg}</svg>\n";
    }

    private static Spread Share(SummaryRow row, IReadOnlyList<ResultLine> lines) => row.Ratio("cpu_us_per_tx", "pgbouncer", lines);

    private static double Y(double value, double top) => Top + (Height * (1 - (Math.Min(value, top) / top)));

    private static void Bar(StringBuilder svg, int x, Spread share, double top, string colour)
    {
        double y = Y(share.Median, top);
        svg.Append(CultureInfo.InvariantCulture, $"<rect x='{x + 1}' y='{y:F1}' width='{BarWidth - 2}' height='{Top + Height - y:F1}' fill='{colour}'/>");
        svg.Append(CultureInfo.InvariantCulture,
            $"<line x1='{x + (BarWidth / 2)}' x2='{x + (BarWidth / 2)}' y1='{Y(share.Max, top):F1}' y2='{Y(share.Min, top):F1}' stroke='#202124'/>");
    }

    private static void Text(StringBuilder svg, int x, int y, string anchor, string text) =>
        svg.Append($"<text x='{x}' y='{y}' text-anchor='{anchor}'>{text}</text>");
}
