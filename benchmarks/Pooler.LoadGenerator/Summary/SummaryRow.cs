namespace Pooler.LoadGenerator.Summary;

/// <summary>All rounds of one contender in one case.</summary>
internal sealed record SummaryRow(string Case, string Contender, IReadOnlyList<ResultLine> Lines)
{
    public const string OwnExtended = "own extended";

    private const string Prepared = " prepared";

    /// <summary>What went wrong in the first round that had trouble.</summary>
    public string Trouble => Lines.Select(line => line.Trouble).FirstOrDefault(trouble => trouble.Length > 0, "");

    /// <summary>Cases in the order they were first run, each with its contenders in theirs.</summary>
    public static IEnumerable<SummaryRow> Of(IReadOnlyList<ResultLine> lines) =>
        lines.GroupBy(line => line.Case).SelectMany(
            group => group.GroupBy(line => line.Contender).Select(rows => new SummaryRow(group.Key, rows.Key, [.. rows])));

    public Spread Spread(string field) =>
        Summary.Spread.Of(Lines.Where(line => line.Figures.ContainsKey(field)).Select(line => line.Figures[field]));

    /// <summary>
    /// "old" stands for the other Pooler on each engine ("old epoll"), "own extended" for the same Pooler without " prepared"; other
    /// bases are contenders themselves.
    /// </summary>
    public static bool IsBase(string name, string contender) => name switch
    {
        "old" => contender.StartsWith("old ", StringComparison.Ordinal),
        OwnExtended => false,
        _ => contender == name,
    };

    /// <summary>Whether anything can be divided by it.</summary>
    public static bool HasBase(string name, string contender) => IsBase(name, contender) || (name == OwnExtended && contender.EndsWith(Prepared, StringComparison.Ordinal));

    /// <summary>Each round against the same round of another contender: what the machine did besides hits both.</summary>
    public Spread Ratio(string field, string name, IEnumerable<ResultLine> all) => Summary.Spread.Of(
        from line in Lines
        from other in all
        where other.Case == Case && other.Contender == BaseFor(name) && other.Round == line.Round
        where line.Figures.ContainsKey(field) && other.Figures.GetValueOrDefault(field) > 0
        select line.Figures[field] / other.Figures[field]);

    private string BaseFor(string name) => name switch
    {
        "old" => Contender.StartsWith("pooler ", StringComparison.Ordinal) ? "old" + Contender[6..] : "",
        OwnExtended => Contender.EndsWith(Prepared, StringComparison.Ordinal) ? Contender[..^Prepared.Length] : "",
        _ => name,
    };
}
