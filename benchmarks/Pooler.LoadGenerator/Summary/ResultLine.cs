using System.Globalization;
using System.Text.Json;

namespace Pooler.LoadGenerator.Summary;

/// <summary>One run, as a command has printed it.</summary>
internal sealed record ResultLine(string Section, string Case, string Contender, int Round, string Trouble, IReadOnlyDictionary<string, double> Figures)
{
    public static ResultLine Parse(string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        var tags = document.RootElement.GetProperty("tags").EnumerateObject().ToDictionary(tag => tag.Name, tag => tag.Value.GetString()!);
        string take(string name) => tags.Remove(name, out string? value) ? value : "";
        (string section, string contender, string round) = (take("section"), take("contender"), take("round"));
        var figures = new Dictionary<string, double>();
        string error = "", failed = "";
        foreach (JsonProperty property in document.RootElement.EnumerateObject())
        {
            if (property.Value.ValueKind == JsonValueKind.Number)
            {
                figures[property.Name] = property.Value.GetDouble();
            }
            else if (property.Name is "first_error" or "stream_first_error")
            {
                error = error.Length == 0 ? property.Value.GetString()! : error;
            }
            else if (property.Name == "failed")
            {
                failed = property.Value.GetString()!;
            }
        }

        double errors = figures.GetValueOrDefault("errors") + figures.GetValueOrDefault("stream_errors");
        string trouble = failed.Length > 0 ? $"failed: {failed}" : errors > 0 ? $"{errors} errors: {error}" : "";
        string name = string.Join(", ", tags.Select(tag => tag.Key switch
        {
            "clients" => $"{tag.Value} clients",
            "rate" => $"{tag.Value}/s",
            _ => tag.Value,
        }));
        return new ResultLine(section, name, contender, round.Length == 0 ? 1 : int.Parse(round, CultureInfo.InvariantCulture), trouble, figures);
    }
}
