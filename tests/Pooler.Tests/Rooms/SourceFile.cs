using System.Text;
using System.Text.RegularExpressions;
using Pooler.Tests.Config;

namespace Pooler.Tests.Rooms;

/// <summary>One file of the sources: the room it is in, and its code without comments and literals.</summary>
internal sealed partial record SourceFile(string Path, string Room, string Code)
{
    /// <summary>The room of the files that lie beside the folders: they put the others together.</summary>
    public const string Program = "Program";

    /// <summary>Every file of src/Pooler.</summary>
    public static IReadOnlyList<SourceFile> OfPooler { get; } = Read(Repository.Path("src", "Pooler"));

    /// <summary>Every file of src.</summary>
    public static IReadOnlyList<SourceFile> All { get; } = Read(Repository.Path("src"));

    public IEnumerable<string> DeclaredTypes => Declaration().Matches(Code).Select(static m => m.Groups["name"].Value);

    public bool HasToken(string word) => Regex.IsMatch(Code, $@"\b{word}\b");

    /// <summary>Names at the front of an expression: not members of something else.</summary>
    public IEnumerable<string> LeadingNames => LeadingName().Matches(Code).Select(static m => m.Value).Distinct();

    private static List<SourceFile> Read(string root)
    {
        List<SourceFile> files = [];
        foreach (string path in Directory.EnumerateFiles(root, "*.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            string[] parts = System.IO.Path.GetRelativePath(root, path).Split('/');
            if (!parts.Contains("obj") && !parts.Contains("bin"))
            {
                files.Add(new SourceFile(path, parts.Length > 1 ? parts[0] : Program, Strip(File.ReadAllText(path))));
            }
        }

        return files;
    }

    /// <summary>Blanks comments, strings and characters. Interpolations go with their string.</summary>
    private static string Strip(string text)
    {
        var code = new StringBuilder(text.Length);
        for (int at = 0; at < text.Length;)
        {
            Match match = Hidden().Match(text, at);
            if (!match.Success)
            {
                code.Append(text, at, text.Length - at);
                break;
            }

            code.Append(text, at, match.Index - at).Append(match.Value.StartsWith('/') ? " " : "\"\"");
            at = match.Index + match.Length;
        }

        return code.ToString();
    }

    [GeneratedRegex("""//[^\n]*|/\*.*?\*/|[$@]*\"\"\"+.*?\"\"\"+|\$?@\$?"([^"]|"")*"|\$?"(\\.|[^"\\\n])*"|'(\\.[^']*|[^'\\])'""", RegexOptions.Singleline)]
    private static partial Regex Hidden();

    [GeneratedRegex(@"\b(class|struct|record|record\s+struct|enum|interface|delegate\s+\S+)\s+(?<name>[A-Z]\w*)")]
    private static partial Regex Declaration();

    [GeneratedRegex(@"(?<![\w.])[A-Z]\w*")]
    private static partial Regex LeadingName();
}
