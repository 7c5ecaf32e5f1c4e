using System.Diagnostics.CodeAnalysis;

namespace Pooler.Config;

/// <summary>
/// The value of an entry of [databases] as PostgreSQL's URL: postgresql://user:password@host:port,host:port/dbname?key=value&amp;…, as
/// providers and secret stores hand it out. Gives the pairs that <see cref="ConnectString"/> would; what is left out stays out.
/// </summary>
internal static class ConnectUrl
{
    private const string NoPercent = "a % in the URL is not followed by two hexadecimal digits";

    public static bool IsOne(string text) => LengthOfScheme(text) > 0;

    /// <summary>The pairs, or a problem that never names a value.</summary>
    public static bool TryParse(string text, out List<KeyValuePair<string, string>> pairs, [NotNullWhen(false)] out string? problem)
    {
        pairs = [];
        string rest = text[LengthOfScheme(text)..];
        int query = rest.IndexOf('?', StringComparison.Ordinal);
        string parameters = query < 0 ? "" : rest[(query + 1)..];
        rest = query < 0 ? rest : rest[..query];
        int path = rest.IndexOf('/', StringComparison.Ordinal);
        string database = path < 0 ? "" : rest[(path + 1)..];
        string authority = path < 0 ? rest : rest[..path];
        int at = authority.LastIndexOf('@');
        string[] who = at < 0 ? [""] : authority[..at].Split(':', 2);

        bool isRight = Add(pairs, "user", who[0]) & Add(pairs, "password", who.Length > 1 ? who[1] : "") & AddHosts(pairs, authority[(at + 1)..].Split(','))
            & Add(pairs, "dbname", database) & AddParameters(pairs, parameters);
        problem = !isRight ? NoPercent
            : pairs.Exists(static pair => pair.Key == "sslmode") ? "sslmode in a URL is not heeded: TLS to servers is for all entries alike, set server_tls_sslmode"
            : null;
        return problem is null;
    }

    private static int LengthOfScheme(string text) =>
        text.StartsWith("postgresql://", StringComparison.Ordinal) ? "postgresql://".Length
        : text.StartsWith("postgres://", StringComparison.Ordinal) ? "postgres://".Length : 0;

    private static bool AddHosts(List<KeyValuePair<string, string>> pairs, string[] hosts)
    {
        var names = new List<string>();
        var ports = new List<string>();
        foreach (string host in hosts)
        {
            // A colon inside of [brackets] is part of an IPv6 address.
            int colon = host.LastIndexOf(':');
            bool hasPort = colon > host.LastIndexOf(']');
            names.Add((hasPort ? host[..colon] : host).Trim('[', ']'));
            ports.Add(hasPort && colon < host.Length - 1 ? host[(colon + 1)..] : "5432");
        }

        bool isOnePort = ports.TrueForAll(port => port == ports[0]);
        return Add(pairs, "host", string.Join(',', names)) & Add(pairs, "port", isOnePort ? ports[0] : string.Join(',', ports));
    }

    private static bool AddParameters(List<KeyValuePair<string, string>> pairs, string parameters)
    {
        bool isRight = true;
        foreach (string parameter in parameters.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = parameter.Split('=', 2);
            isRight &= Add(pairs, pair[0], pair.Length > 1 ? pair[1] : "");
        }

        return isRight;
    }

    private static bool Add(List<KeyValuePair<string, string>> pairs, string key, string value)
    {
        string decoded = Uri.UnescapeDataString(value);
        if (value.Length > 0) pairs.Add(KeyValuePair.Create(key, decoded));

        // What is no escape is left as it is by the decoder; PostgreSQL refuses it.
        for (int i = value.IndexOf('%', StringComparison.Ordinal); i >= 0; i = value.IndexOf('%', i + 1))
        {
            if (i + 2 >= value.Length || !char.IsAsciiHexDigit(value[i + 1]) || !char.IsAsciiHexDigit(value[i + 2])) return false;
        }

        return true;
    }
}
