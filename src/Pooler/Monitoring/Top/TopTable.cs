using System.Globalization;
using System.Text;

namespace Pooler.Monitoring;

/// <summary>One table of the screen: its columns are as wide as what is in them, the last takes what is left.</summary>
/// <param name="Heads">A head that begins with a blank is that of numbers, which stand at the right.</param>
/// <param name="More">So many rows were left out.</param>
/// <param name="Empty">What is said without a row.</param>
internal sealed record TopTable(string[] Heads, List<string[]> Rows, int More, string Empty)
{
    private const int Gap = 2, WidestName = 32;

    /// <summary>The heads, then a line for each row from this one on.</summary>
    public IEnumerable<string> Lines(int width, int from, int most)
    {
        if (Rows.Count == 0)
        {
            yield return Empty;
            yield break;
        }

        int[] widths = [.. Heads.Select((head, i) => WidthOf(head, i))];
        yield return Line(Heads, widths, width);
        foreach (string[] row in Rows.Skip(from).Take(most))
        {
            yield return Line(row, widths, width);
        }

        if (More > 0 && Rows.Count - from <= most)
        {
            yield return $"and {Figures.Count(More)} more";
        }
    }

    private int WidthOf(string head, int column) =>
        Math.Min(Math.Max(head.Trim().Length, Rows.Max(r => Plain(r[column]).Length)), column < Heads.Length - 1 ? WidestName : int.MaxValue);

    private string Line(string[] cells, int[] widths, int width)
    {
        var line = new StringBuilder();
        for (int i = 0; i < cells.Length; i++)
        {
            string text = Cut(Plain(cells[i].Trim()), widths[i]);
            line.Append(Heads[i].StartsWith(' ') ? text.PadLeft(widths[i]) : text.PadRight(widths[i])).Append(' ', Gap);
        }

        return Cut(line.ToString().TrimEnd(), width);
    }

    /// <summary>Names and statements are whatever a client chose: nothing of them may move the cursor or colour the screen.</summary>
    public static string Plain(string text) => string.Create(text.Length, text, static (span, from) =>
    {
        for (int i = 0; i < from.Length; i++)
        {
            UnicodeCategory kind = char.GetUnicodeCategory(from[i]);
            span[i] = char.IsWhiteSpace(from[i]) ? ' '
                : kind is UnicodeCategory.Control or UnicodeCategory.Format ? '?'
                : from[i];
        }
    });

    public static string Cut(string text, int width)
    {
        if (text.Length <= width)
        {
            return text;
        }

        int end = Math.Max(0, width - 1);
        end -= end > 0 && char.IsHighSurrogate(text[end - 1]) ? 1 : 0;
        return width < 1 ? "" : $"{text.AsSpan(0, end)}…";
    }
}
