using System.Buffers;

namespace Pooler.Config;

/// <summary>
/// Reads an ini file and what it includes into entries, with PgBouncer's syntax (lib/usual/cfparser.c): a comment starts a line with
/// ; or #, a value runs to the end of its line, the section carries on across %include. Unlike PgBouncer it goes on after an error,
/// so that all of them can be told at once.
/// </summary>
internal sealed class IniFile(List<ConfigEntry> entries, List<ConfigError> errors)
{
    /// <summary>PgBouncer's MAX_INCLUDE; it also ends a file that includes itself.</summary>
    private const int DeepestInclude = 10;

    private const string IncludeWord = "%include";

    private static readonly SearchValues<char> NameCharacters =
        SearchValues.Create("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-*");

    private static readonly char[] Blanks = [' ', '\t', '\r', '\v', '\f'];

    // Null before the first header, empty below a header that is not known.
    private string? section;
    private string file = "";
    private int line;
    private bool isTooDeep;

    /// <summary>Reads the file at the top.</summary>
    public void Read(string path)
    {
        if (TextFile.TryRead(path, out string? text, out string? problem)) ReadText(path, text, depth: 0);
        else errors.Add(new ConfigError(path, 0, problem));
    }

    private void ReadText(string path, string text, int depth)
    {
        (string outerFile, int outerLine) = (file, line);
        (file, line) = (path, 0);
        foreach (Range range in text.AsSpan().Split('\n'))
        {
            line++;
            ReadLine(text.AsSpan()[range].Trim(Blanks), depth);
        }

        (file, line) = (outerFile, outerLine);
    }

    private void ReadLine(ReadOnlySpan<char> content, int depth)
    {
        if (content.IsEmpty || content[0] is ';' or '#') return;
        if (content.StartsWith(IncludeWord) && content.Length > IncludeWord.Length && content[IncludeWord.Length] is ' ' or '\t')
        {
            Include(content[IncludeWord.Length..].Trim(Blanks).ToString(), depth);
        }
        else if (content[0] == '[')
        {
            ReadHeader(content, depth);
        }
        else
        {
            ReadPair(content);
        }
    }

    /// <summary>The name is relative to the working directory, not to the including file, as in PgBouncer.</summary>
    private void Include(string path, int depth)
    {
        if (isTooDeep) return; // Said once; files that include each other are read a power of times otherwise.
        if (depth >= DeepestInclude)
        {
            isTooDeep = true;
            Error($"%include \"{path}\" is nested more than {DeepestInclude} deep: a file may not include itself");
        }
        else if (TextFile.TryRead(path, out string? text, out string? problem))
        {
            ReadText(path, text, depth + 1);
        }
        else
        {
            Error($"%include {problem}");
        }
    }

    private void ReadHeader(ReadOnlySpan<char> content, int depth)
    {
        int end = content.IndexOf(']');
        if (end < 0)
        {
            Error("a section header ends with ]");
            return;
        }

        string name = content[1..end].ToString();
        section = name == ConfigSection.MainSynonym ? ConfigSection.Main : name;
        if (!ConfigSection.All.Contains(name))
        {
            Error($"unknown section [{name}]: one of " + string.Join(", ", ConfigSection.All.Select(static known => $"[{known}]")));
            section = "";
        }

        // PgBouncer goes on reading behind the bracket; "[users] ; comment" is right.
        ReadLine(content[(end + 1)..].Trim(Blanks), depth);
    }

    private void ReadPair(ReadOnlySpan<char> content)
    {
        if (!TryTakeKey(ref content, out string key) || !content.TrimStart(Blanks).StartsWith('='))
        {
            Error("expected name = value, [section], %include file or a comment (; or # at the start of the line); "
                + "a name with characters other than letters, digits and _ . - * is quoted");
        }
        else if (section is null)
        {
            Error($"\"{key}\" stands before the first section: put [{ConfigSection.Main}] above it");
        }
        else if (section.Length > 0)
        {
            string value = content.TrimStart(Blanks)[1..].Trim(Blanks).ToString();
            entries.Add(new ConfigEntry(file, line, section, key, value));
        }
    }

    private static bool TryTakeKey(ref ReadOnlySpan<char> content, out string key)
    {
        if (content[0] is '\'' or '"') return TryTakeQuoted(ref content, out key);
        int length = content.IndexOfAnyExcept(NameCharacters);
        length = length < 0 ? content.Length : length;
        key = content[..length].ToString();
        content = content[length..];
        return length > 0;
    }

    /// <summary>
    /// PgBouncer's parser takes 'single quotes' and its documentation promises "double quotes"; both work here, doubled inside.
    /// </summary>
    private static bool TryTakeQuoted(ref ReadOnlySpan<char> content, out string key)
    {
        char quote = content[0];
        key = "";
        for (int i = 1; i < content.Length; i++)
        {
            if (content[i] == quote)
            {
                if (i + 1 >= content.Length || content[i + 1] != quote)
                {
                    content = content[(i + 1)..];
                    return key.Length > 0;
                }

                i++;
            }

            key += content[i];
        }

        return false;
    }

    private void Error(string message) => errors.Add(new ConfigError(file, line, message));
}
