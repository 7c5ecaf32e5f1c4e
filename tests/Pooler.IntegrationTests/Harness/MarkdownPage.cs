using System.Text;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A page of the documentation: its headings, links, fenced blocks, and what stands between backticks in its text.</summary>
internal sealed partial class MarkdownPage
{
    private MarkdownPage(string path)
    {
        Path = path;
        Read(File.ReadAllLines(path));
    }

    public static IReadOnlyList<MarkdownPage> All { get; } =
        [.. Directory.GetFiles(Repository.PathOf("docs"), "*.md").Order().Prepend(Repository.PathOf("README.md")).Select(static path => new MarkdownPage(path))];

    public string Path { get; }

    /// <summary>As it is called in the repository.</summary>
    public string Name => System.IO.Path.GetRelativePath(Repository.Folder, Path);

    public List<MarkdownBlock> Blocks { get; } = [];

    /// <summary>The anchors that GitHub gives to its headings.</summary>
    public HashSet<string> Anchors { get; } = [];

    public List<(int Line, string Target)> Links { get; } = [];

    public List<(int Line, string Text)> Codes { get; } = [];

    public override string ToString() => Name;

    private void Read(string[] lines)
    {
        for (int i = 0; i < lines.Length; i++)
        {
            if (Fence().Match(lines[i]) is { Success: true } fence)
            {
                // In a list it stands further in.
                int start = i + 1, margin = fence.Groups[1].Length;
                var text = new StringBuilder();
                for (i++; lines[i].TrimStart() != "```"; i++)
                    text.Append(lines[i].Length < margin ? "" : lines[i][margin..]).Append('\n');
                Blocks.Add(new MarkdownBlock(this, start + 1, fence.Groups[2].Value.Trim(), text.ToString()));
                continue;
            }

            if (Heading().Match(lines[i]) is { Success: true } heading)
                AddAnchor(heading.Groups[1].Value);
            foreach (Match code in Code().Matches(lines[i]))
                Codes.Add((i + 1, code.Groups[1].Value));
            foreach (Match link in Link().Matches(Code().Replace(lines[i], "")))
                Links.Add((i + 1, link.Groups[1].Value));
        }
    }

    private void AddAnchor(string heading)
    {
        string anchor = NotInAnchors().Replace(LinkInHeading().Replace(heading, "$1").Trim().ToLowerInvariant(), "").Replace(' ', '-');
        for (int i = 0; !Anchors.Add(i == 0 ? anchor : $"{anchor}-{i}"); i++)
        {
        }
    }

    [GeneratedRegex(@"^( *)```(.*)$")]
    private static partial Regex Fence();

    [GeneratedRegex(@"^#{1,6} +(.*)$")]
    private static partial Regex Heading();

    [GeneratedRegex(@"\[([^\]]*)\]\([^)]*\)")]
    private static partial Regex LinkInHeading();

    [GeneratedRegex(@"[^\p{L}\p{N}\p{M}_\- ]")]
    private static partial Regex NotInAnchors();

    [GeneratedRegex(@"`([^`]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();
}
