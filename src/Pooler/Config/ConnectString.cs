using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Pooler.Config;

/// <summary>
/// Takes apart the value of an entry of [databases] or [users]: key=value pairs, values in single quotes with '' inside, blanks
/// around = allowed, no empty values (PgBouncer's src/loader.c, cstr_get_pair). Stricter in one thing: after a closing quote comes
/// a blank or the end, where PgBouncer silently drops a character.
/// </summary>
internal ref struct ConnectString(ReadOnlySpan<char> text)
{
    private const string Blanks = " \t\r\n";

    private ReadOnlySpan<char> rest = text;

    /// <summary>The pairs in their order, or a problem that names the key it is about and never a value.</summary>
    public static bool TryParse(string text, out List<KeyValuePair<string, string>> pairs, [NotNullWhen(false)] out string? problem)
    {
        pairs = [];
        ConnectString reader = new(text);
        while (!reader.AtEnd())
        {
            if (!reader.TryTakeKey(out string key))
            {
                problem = "expected key=value pairs separated by blanks, values with blanks in single quotes";
                return false;
            }

            if (!reader.TryTakeValue(key, out string value, out problem)) return false;
            pairs.Add(KeyValuePair.Create(key, value));
        }

        problem = null;
        return true;
    }

    private bool AtEnd()
    {
        rest = rest.TrimStart(Blanks);
        return rest.IsEmpty;
    }

    private bool TryTakeKey(out string key)
    {
        int length = rest.IndexOfAny("= \t\r\n");
        key = length > 0 ? rest[..length].ToString() : "";
        if (length <= 0) return false;
        rest = rest[length..].TrimStart(Blanks);
        if (!rest.StartsWith('=')) return false;
        rest = rest[1..].TrimStart(Blanks);
        return true;
    }

    private bool TryTakeValue(string key, out string value, [NotNullWhen(false)] out string? problem)
    {
        problem = null;
        if (rest.StartsWith('\''))
        {
            if (!TryTakeQuoted(out value)) problem = $"the quoted value of {key} has no closing quote (a quote inside is doubled)";
            else if (!rest.IsEmpty && !Blanks.Contains(rest[0])) problem = $"a blank is missing after the closing quote of {key}";
        }
        else
        {
            int length = rest.IndexOfAny(Blanks);
            length = length < 0 ? rest.Length : length;
            value = rest[..length].ToString();
            rest = rest[length..];
        }

        if (problem is null && value.Length == 0) problem = $"{key} has no value: leave the key out instead";
        return problem is null;
    }

    private bool TryTakeQuoted(out string value)
    {
        StringBuilder unquoted = new();
        for (int i = 1; i < rest.Length; i++)
        {
            if (rest[i] == '\'')
            {
                if (i + 1 >= rest.Length || rest[i + 1] != '\'')
                {
                    rest = rest[(i + 1)..];
                    value = unquoted.ToString();
                    return true;
                }

                i++;
            }

            unquoted.Append(rest[i]);
        }

        value = "";
        return false;
    }
}
