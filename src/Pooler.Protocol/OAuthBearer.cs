using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Pooler.Protocol;

/// <summary>The SASL mechanism OAUTHBEARER (RFC 7628; PostgreSQL documentation, 55.3.3): a token, or the word where to get one.</summary>
public static class OAuthBearer
{
    public const string Mechanism = "OAUTHBEARER";

    private const byte Separator = 1;

    private static readonly SearchValues<byte> s_keyBytes = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);
    private static readonly SearchValues<byte> s_tokenBytes = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"u8);

    /// <summary>
    /// Reads the client's first message (RFC 7628, 3.1). The token points into it; it is empty when the client has none yet and wants to
    /// know whom to ask for one (4.3). The problem is worded for the log.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> data, out ReadOnlySpan<byte> token, out string problem)
    {
        token = default;

        // No channel binding ("p="), and nobody logs in for somebody else ("a="): as PostgreSQL.
        problem = "malformed OAUTHBEARER message: it begins with n,, or y,,";
        if (data.Length < 4 || data[0] is not ((byte)'n' or (byte)'y') || !data[1..].StartsWith(",,\u0001"u8))
        {
            return false;
        }

        bool hasToken = false;
        for (data = data[4..]; !data.IsEmpty && data[0] != Separator;)
        {
            int end = data.IndexOf(Separator), equals = data.IndexOf((byte)'=');
            problem = "malformed OAUTHBEARER message: a key, its value and a separator are expected";
            if (equals < 1 || end < equals || data[..equals].ContainsAnyExcept(s_keyBytes) || data[..end].ContainsAnyExcept(Values))
            {
                return false;
            }

            if (data[..equals].SequenceEqual("auth"u8))
            {
                problem = "malformed OAUTHBEARER message: auth is given twice, or is no bearer token";
                if (hasToken || !TryReadToken(data[(equals + 1)..end], out token))
                {
                    return false;
                }

                hasToken = true;
            }

            data = data[(end + 1)..];
        }

        problem = hasToken ? "malformed OAUTHBEARER message: it does not end with its separators" : "malformed OAUTHBEARER message: it has no auth";
        return hasToken && data.Length == 1;
    }

    /// <summary>What the server says to a token it does not take (RFC 7628, 3.2.2).</summary>
    public static byte[] Failure(string configurationUrl, string scope)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(bytes);
        json.WriteStartObject();
        json.WriteString("status", "invalid_token");
        json.WriteString("openid-configuration", configurationUrl);
        if (scope.Length > 0)
        {
            json.WriteString("scope", scope);
        }

        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenSpan.ToArray();
    }

    private static SearchValues<byte> Values { get; } = SearchValues.Create([.. Enumerable.Range(0x20, 0x7f - 0x20).Select(static b => (byte)b), (byte)'\t', (byte)'\r', (byte)'\n']);

    /// <summary>"Bearer", blanks and a b64token (RFC 6750, 2.1), or nothing at all.</summary>
    private static bool TryReadToken(ReadOnlySpan<byte> value, out ReadOnlySpan<byte> token)
    {
        token = default;
        if (value.IsEmpty)
        {
            return true;
        }

        if (value.Length < 8 || !Ascii.EqualsIgnoreCase(value[..7], "Bearer "u8))
        {
            return false;
        }

        token = value[7..].TrimStart((byte)' ');
        ReadOnlySpan<byte> body = token.TrimEnd((byte)'=');
        return !body.IsEmpty && !body.ContainsAnyExcept(s_tokenBytes);
    }
}
