using System.Text;

namespace Pooler.Config;

/// <summary>
/// A file in the syntax of pg_hba.conf taken apart (PostgreSQL documentation, 20.1): fields of comma lists between blanks, quotes, #
/// comments, a backslash at the end of a line, @file in a list, include lines. What cannot be read is an error, nothing is skipped.
/// </summary>
internal sealed class HbaLines(List<ConfigError> errors)
{
    private const int Deepest = 10;

    private bool _isTooDeep;

    /// <summary>Each line with its fields; every field is a list.</summary>
    public List<(string File, int Line, List<List<HbaName>> Fields)> Found { get; } = [];

    public void Read(string path, int depth = 0)
    {
        if (_isTooDeep)
        {
            return; // Said once; files that include each other are read a power of times otherwise.
        }

        if (!TextFile.TryRead(path, out string? text, out string? problem))
        {
            errors.Add(new ConfigError(path, 0, problem));
            return;
        }

        string[] lines = text.ReplaceLineEndings("\n").Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            int first = i;
            string line = lines[i];
            while (line.EndsWith('\\') && i + 1 < lines.Length)
            {
                line = line[..^1] + lines[++i];
            }

            if (TakeApart(path, first + 1, line, depth) is { Count: > 0 } fields && !Includes(path, first + 1, fields, depth))
            {
                Found.Add((path, first + 1, fields));
            }
        }
    }

    private bool Includes(string path, int line, List<List<HbaName>> fields, int depth)
    {
        HbaName word = fields[0][0];
        if (!word.Is("include") && !word.Is("include_if_exists") && !word.Is("include_dir"))
        {
            return false;
        }

        if (_isTooDeep)
        {
            return true;
        }

        if (fields.Count != 2 || fields[1].Count != 1 || depth >= Deepest)
        {
            _isTooDeep |= depth >= Deepest;
            errors.Add(new ConfigError(path, line, depth >= Deepest ? $"{word.Text}: files are nested more than {Deepest} deep" : $"{word.Text} takes one name"));
            return true;
        }

        string there = Beside(path, fields[1][0].Text);
        if (word.Text == "include_dir")
        {
            ReadFolder(path, line, there, depth);
        }
        else if (word.Text == "include" || File.Exists(there))
        {
            Read(there, depth + 1);
        }

        return true;
    }

    private void ReadFolder(string path, int line, string folder, int depth)
    {
        if (!Directory.Exists(folder))
        {
            errors.Add(new ConfigError(path, line, $"include_dir: there is no folder \"{folder}\""));
            return;
        }

        foreach (string file in Directory.GetFiles(folder, "*.conf").Where(static f => Path.GetFileName(f)[0] != '.').Order(StringComparer.Ordinal))
        {
            Read(file, depth + 1);
        }
    }

    private List<List<HbaName>>? TakeApart(string path, int number, string line, int depth)
    {
        List<List<HbaName>> fields = [];
        int position = 0;
        bool continues = false;
        while (true)
        {
            while (position < line.Length && (char.IsWhiteSpace(line[position]) || line[position] == ','))
            {
                continues |= line[position++] == ',' && fields.Count > 0;
            }

            if (position >= line.Length || line[position] == '#')
            {
                return fields;
            }

            if (!TryTake(line, ref position, hasComments: true, out HbaName name))
            {
                errors.Add(new ConfigError(path, number, "a quotation mark is not closed"));
                return null;
            }

            List<HbaName> names = name is { IsQuoted: false, Text: ['@', _, ..] } ? ReadList(path, number, name.Text[1..], depth) : [name];
            if (names.Count == 0)
            {
                names = [new HbaName("", IsQuoted: true)]; // Of an empty file: nobody is called so.
            }

            if (continues)
            {
                fields[^1].AddRange(names);
            }
            else
            {
                fields.Add(names);
            }

            continues = false;
        }
    }

    /// <summary>One word, up to a blank, a comma or a comment. False: its quotation mark is not closed.</summary>
    public static bool TryTake(string line, ref int position, bool hasComments, out HbaName name)
    {
        var text = new StringBuilder();
        bool isQuoted = false, inQuotes = false;
        for (; position < line.Length && (inQuotes || !(char.IsWhiteSpace(line[position]) || line[position] == ',' || (hasComments && line[position] == '#'))); position++)
        {
            if (line[position] != '"')
            {
                text.Append(line[position]);
            }
            else if (inQuotes && position + 1 < line.Length && line[position + 1] == '"')
            {
                text.Append(line[position++]);
            }
            else
            {
                isQuoted |= text.Length == 0; // As in PostgreSQL: quotes within a word do not take its meaning.
                inQuotes = !inQuotes;
            }
        }

        name = new HbaName(text.ToString(), isQuoted);
        return !inQuotes;
    }

    /// <summary>Names in a file of their own, between blanks, commas or line feeds.</summary>
    private List<HbaName> ReadList(string path, int line, string file, int depth)
    {
        string there = Beside(path, file);
        if (_isTooDeep)
        {
            return [];
        }

        if (depth >= Deepest)
        {
            _isTooDeep = true;
            errors.Add(new ConfigError(path, line, $"@{file}: files are nested more than {Deepest} deep"));
            return [];
        }

        if (!TextFile.TryRead(there, out string? text, out string? problem))
        {
            errors.Add(new ConfigError(path, line, $"@{file}: {problem}"));
            return [];
        }

        string[] lines = text.ReplaceLineEndings("\n").Split('\n');
        return [.. lines.SelectMany((content, i) => TakeApart(there, i + 1, content, depth + 1) ?? []).SelectMany(static names => names)];
    }

    private static string Beside(string path, string file) => Path.IsPathRooted(file) ? file : Path.Combine(Path.GetDirectoryName(path) ?? "", file);
}
