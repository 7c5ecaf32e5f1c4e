using System.Buffers.Text;
using System.Text.Json;

namespace Pooler.Backend;

/// <summary>
/// How long a password may be kept. One that is a JSON Web Token says in "exp" when it ends (RFC 7519, 4.1.4): a cloud's agent may hand
/// out what has only minutes left.
/// </summary>
internal static class TokenLife
{
    /// <summary>So long before its end it is not used any more: clocks differ, and a login takes its time.</summary>
    private static readonly TimeSpan s_margin = TimeSpan.FromSeconds(30);

    public static TimeSpan Of(string? password, TimeSpan keepTime)
    {
        if (password?.Split('.') is not [_, var payload, _] || EndOf(payload) is not { } end)
        {
            return keepTime;
        }

        TimeSpan left = end - DateTimeOffset.UtcNow - s_margin;
        return left < keepTime ? left : keepTime;
    }

    private static DateTimeOffset? EndOf(string payload)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(Base64Url.DecodeFromChars(payload));
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("exp"u8, out JsonElement exp)
                && exp.ValueKind == JsonValueKind.Number && exp.TryGetInt64(out long seconds) && seconds is >= 0 and < 1L << 33
                ? DateTimeOffset.FromUnixTimeSeconds(seconds)
                : null;
        }
        catch (Exception fault) when (fault is FormatException or JsonException) // A password with two dots in it.
        {
            return null;
        }
    }
}
