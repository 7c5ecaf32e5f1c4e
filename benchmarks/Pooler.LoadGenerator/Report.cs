using System.Text;
using System.Text.Json;

namespace Pooler.LoadGenerator;

/// <summary>The figures of one run, in the order they were added, as one JSON object.</summary>
internal sealed class Report
{
    private readonly List<(string Name, object Value)> _figures = [];

    public Report Add(string name, double value)
    {
        _figures.Add((name, value));
        return this;
    }

    public Report Add(string name, string value)
    {
        _figures.Add((name, value));
        return this;
    }

    /// <summary>Percentiles in microseconds, with a prefix before their names.</summary>
    public Report Add(Histogram histogram, string prefix = "")
    {
        ReadOnlySpan<(string, double)> percentiles = [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)];
        foreach ((string name, double fraction) in percentiles)
        {
            Add(prefix + name, histogram.Percentile(fraction) / 1000.0);
        }

        return Add(prefix + "max_us", histogram.Max / 1000.0);
    }

    /// <param name="tags">What the caller wants to find again in the result: <c>name=value,name=value</c>.</param>
    public string ToJson(string command, string tags)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("command", command);
            json.WriteStartObject("tags");
            foreach (string tag in tags.Split(',', StringSplitOptions.RemoveEmptyEntries))
            {
                int equals = tag.IndexOf('=');
                json.WriteString(equals < 0 ? tag : tag[..equals], equals < 0 ? "" : tag[(equals + 1)..]);
            }

            json.WriteEndObject();
            foreach ((string name, object value) in _figures)
            {
                if (value is double number)
                {
                    json.WriteNumber(name, Math.Round(number, 3));
                }
                else
                {
                    json.WriteString(name, (string)value);
                }
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
