using System.Text;
using System.Text.Json;
using Pooler.LoadGenerator.Summary;

namespace Pooler.LoadGenerator.Commands;

/// <summary>Turns the lines of many runs into one Markdown table a section, medians with their spread, and into JSON and a picture.</summary>
internal static class SummaryCommand
{
    public static void Run(Options options)
    {
        string file = options.Text("file", "results.jsonl"), json = options.Text("json", ""), svg = options.Text("svg", "");
        options.EndOfOptions();
        List<ResultLine> lines = [.. File.ReadLines(file).Where(line => line.StartsWith('{')).Select(ResultLine.Parse)];
        Console.Write(string.Concat(lines.Select(line => line.Section).Distinct()
            .Select(section => Table(SummarySection.Named(section), [.. lines.Where(line => line.Section == section)]))));
        if (json.Length > 0)
        {
            WriteJson(json, lines);
        }

        if (svg.Length > 0 && Picture.Draw([.. lines.Where(line => line.Section == "main")]) is { } picture)
        {
            File.WriteAllText(svg, picture);
        }
    }

    private static string Table(SummarySection section, List<ResultLine> lines)
    {
        List<(SummaryColumn Ratio, string Base)> ratios =
        [
            .. SummarySection.Bases.Where(name => lines.Any(line => SummaryRow.HasBase(name, line.Contender)))
                .SelectMany(name => section.Ratios.Select(ratio => (ratio, name))),
        ];
        var text = new StringBuilder($"\n### {section.Title}\n\n| case | contender |");
        foreach (string header in section.Columns.Select(column => column.Header).Concat(ratios.Select(r => $"{r.Ratio.Header} ÷ {r.Base}")))
        {
            text.Append($" {header} |");
        }

        text.Append("\n|---|---|" + string.Concat(Enumerable.Repeat("--:|", section.Columns.Count + ratios.Count)) + "\n");
        foreach (SummaryRow row in SummaryRow.Of(lines))
        {
            text.Append($"| {row.Case} | {row.Contender}{(row.Trouble.Length == 0 ? "" : $" ({row.Trouble})")} |");
            foreach (SummaryColumn column in section.Columns)
            {
                text.Append($" {row.Spread(column.Field).ToText(column.Format)} |");
            }

            foreach ((SummaryColumn ratio, string name) in ratios)
            {
                text.Append($" {(SummaryRow.IsBase(name, row.Contender) ? "1" : row.Ratio(ratio.Field, name, lines).ToText(ratio.Format))} |");
            }

            text.Append('\n');
        }

        return text.ToString();
    }

    private static void WriteJson(string file, List<ResultLine> lines)
    {
        using FileStream stream = File.Create(file);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartArray();
        foreach (IGrouping<string, ResultLine> section in lines.GroupBy(line => line.Section))
        {
            foreach (SummaryRow row in SummaryRow.Of([.. section]))
            {
                json.WriteStartObject();
                json.WriteString("section", section.Key);
                json.WriteString("case", row.Case);
                json.WriteString("contender", row.Contender);
                json.WriteString("trouble", row.Trouble);
                json.WriteNumber("rounds", row.Lines.Count);
                foreach (string field in row.Lines.SelectMany(line => line.Figures.Keys).Distinct())
                {
                    Spread spread = row.Spread(field);
                    json.WriteStartObject(field);
                    json.WriteNumber("median", spread.Median);
                    json.WriteNumber("min", spread.Min);
                    json.WriteNumber("max", spread.Max);
                    json.WriteEndObject();
                }

                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
    }
}
