using System.Text;

namespace Pooler.Config;

/// <summary>
/// The users of auth_file (PgBouncer's src/loader.c, load_auth_file): <c>"user" "secret"</c>, the rest of the line is ignored, ""
/// stands for a quote, ; starts a comment line and # does not. What breaks the syntax ends the reading; the users above it stay.
/// The last line of a user counts. A secret is clear text, md5 and 32 hexadecimal digits, or SCRAM-SHA-256$…; what it is, is
/// decided where it is used.
/// </summary>
internal ref struct Userlist(string text)
{
    /// <summary>Bytes, PgBouncer's MAX_USERNAME without its closing zero.</summary>
    public const int LongestUser = 127;

    /// <summary>Bytes; PgBouncer took 995 before it allowed this.</summary>
    public const int LongestSecret = 65530;

    private readonly string text = text;
    private int position;

    /// <summary>User to secret. The problem is null if the file was read to its end, else it names the line and no secret.</summary>
    public static Dictionary<string, string> Parse(string text, out string? problem)
    {
        Dictionary<string, string> secrets = new(StringComparer.Ordinal);
        Userlist reader = new(text);
        while (reader.FindUser(out problem))
        {
            if (!reader.TryTakeQuoted("user name", LongestUser, out string user, out problem)) break;
            reader.position = reader.IndexOrEnd('"'); // PgBouncer looks for it beyond the end of the line too.
            if (!reader.TryTakeQuoted("secret", LongestSecret, out string secret, out problem)) break;
            secrets[user] = secret;
            reader.position = reader.IndexOrEnd('\n');
        }

        return secrets;
    }

    /// <summary>Goes to the quote that opens the next user; false at the end, or with a problem.</summary>
    private bool FindUser(out string? problem)
    {
        problem = null;
        while (true)
        {
            while (position < text.Length && text[position] is ' ' or '\t' or '\r' or '\n' or '\v' or '\f') position++;
            if (position >= text.Length) return false;
            if (text[position] != ';') break;
            position = IndexOrEnd('\n');
        }

        if (text[position] == '"') return true;
        problem = Broken("a line starts with \"user\" \"secret\" or with ; for a comment");
        return false;
    }

    private bool TryTakeQuoted(string what, int longest, out string value, out string? problem)
    {
        value = "";
        int start = position + 1;
        int end = start;
        while (end < text.Length && (text[end] != '"' || (end + 1 < text.Length && text[end + 1] == '"')))
        {
            end += text[end] == '"' ? 2 : 1;
        }

        if (start > text.Length || end >= text.Length) problem = Broken($"the {what} has no closing quote");
        else if (Encoding.UTF8.GetByteCount(text.AsSpan(start, end - start)) > longest)
            problem = Broken($"the {what} is longer than {longest} bytes");
        else problem = null;

        if (problem is not null) return false;
        value = text[start..end].Replace("\"\"", "\"", StringComparison.Ordinal);
        position = end + 1;
        return true;
    }

    private readonly int IndexOrEnd(char wanted)
    {
        int index = text.IndexOf(wanted, position);
        return index < 0 ? text.Length : index;
    }

    private readonly string Broken(string rule)
    {
        int line = 1 + text.AsSpan(0, Math.Min(position, text.Length)).Count('\n');
        return $"broken auth file at line {line}, the users below it are not known: {rule}";
    }
}
