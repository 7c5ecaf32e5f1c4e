using System.Text.Json;
using System.Text.Json.Serialization;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>How the live page's events are written; the code is generated.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(PageState))]
[JsonSerializable(typeof(List<RecentLine>))]
internal sealed partial class PageJson : JsonSerializerContext
{
    public static byte[] Event(PageState state) => Event("state", JsonSerializer.SerializeToUtf8Bytes(state, Default.PageState));

    public static byte[] Event(List<RecentLine> lines) => Event("log", JsonSerializer.SerializeToUtf8Bytes(lines, Default.ListRecentLine));

    /// <summary>JSON has no line feed in it, so it is one line of data.</summary>
    private static byte[] Event(string name, byte[] json) => [.. "event: "u8, .. System.Text.Encoding.ASCII.GetBytes(name), .. "\ndata: "u8, .. json, .. "\n\n"u8];
}
