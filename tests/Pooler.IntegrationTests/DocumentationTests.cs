using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests;

/// <summary>
/// README.md and docs/*.md are true: links lead somewhere, and what a reader can do is done. The info string of a block says how:
/// <c>sh</c> is run by bash, <c>sh background</c> beside what follows; <c>sh no-run</c> needs programs that a test has not got (<see cref="NotHere"/>); <c>console</c> is a transcript, run and compared;
/// <c>ini</c> goes through <c>pooler --check</c>, <c>hba</c> too; <c>ini NAME</c>, <c>text NAME</c> are written into that file; <c>sql server</c> is asked of
/// PostgreSQL, <c>sql console</c> of the console, <c>sql</c> of Pooler; all others are looked at only, and hold no command.
/// </summary>
public sealed partial class DocumentationTests(DocumentedWorld world) : IClassFixture<DocumentedWorld>
{
    // What changes the reader's machine, needs one of its own, fetches from elsewhere, or takes minutes.
    private static readonly string[] NotHere =
        ["apt-get", "aws", "docker", "podman", "dotnet", "git", "helm", "jq", "kubectl", "sudo", "systemctl", "journalctl", "sysctl", "ssh", "scripts/"];

    private static readonly string[] OnlyShown = ["", "text", "yaml", "mermaid", "json", "xml"];

    // PostgreSQL's, libpq's, the peers'.
    private static readonly string[] SettingsOfOthers = ["extra_float_digits", "server_settings", "delegate_ident_mapping", "synchronous_commit", "channel_binding"];

    public static TheoryData<string> Pages() => [.. MarkdownPage.All.Select(static page => page.Name)];

    private static MarkdownPage Page(string name) => MarkdownPage.All.Single(page => page.Name == name);

    [Theory]
    [MemberData(nameof(Pages))]
    public void LinksLeadSomewhere(string name)
    {
        MarkdownPage page = Page(name);
        Assert.Empty(page.Links.Where(link => !Leads(page, link.Target)).Select(link => $"{name}:{link.Line}: {link.Target}"));
    }

    /// <summary>From the list of pages each page can be found.</summary>
    [Fact]
    public void EveryPageIsListed()
    {
        MarkdownPage list = Page("README.md");
        Assert.Subset(list.Links.Select(static link => link.Target).ToHashSet(), MarkdownPage.All.Skip(1).Select(static page => page.Name).ToHashSet());
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void BlocksSayHowTheyAreTried(string name)
    {
        foreach (MarkdownBlock block in Page(name).Blocks)
        {
            switch (block.Language, block.Purpose)
            {
                case ("sh", "no-run"):
                    Assert.Empty(FirstWords(block.Text).Where(static word => !NotHere.Any(word.StartsWith)).Select(word => $"{block}: {word} can be run"));
                    break;
                case ("sh", "background") or ("sh" or "console" or "hba", "") or ("ini", _) or ("text", not "") or ("sql", "" or "server" or "console"):
                    break;
                case (_, "") when OnlyShown.Contains(block.Language):
                    Assert.Empty(FirstWords(block.Text).Where(static word => word is "$" or "psql" or "pgbench" or "pooler" or "curl" || NotHere.Any(word.StartsWith))
                        .Select(word => $"{block}: {word} in a block that nobody tries"));
                    break;
                default:
                    Assert.Fail($"{block}: ```{block.Info}: what is that?");
                    break;
            }
        }
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public async Task BlocksDoWhatTheySay(string name)
    {
        MarkdownPage page = Page(name);
        if (!page.Blocks.Any(static b => b.Purpose != "no-run" && (b.Language is "sh" or "console" or "ini" or "hba" or "sql")))
            return;
        OrdinaryUser.NeedsRoot();
        CommandLine.Result able = await CommandLine.RunAsync("unshare", ["--mount", "--net", "--pid", "--fork", "ip", "link", "set", "lo", "up"]);
        Assert.SkipUnless(able.ExitCode == 0, $"needs name spaces: {able.Error}");
        await world.RunAsync(page);
    }

    /// <summary>Our scripts, wherever a page calls one, are there and know the options.</summary>
    [Theory]
    [MemberData(nameof(Pages))]
    public void ScriptsKnowTheirOptions(string name)
    {
        MarkdownPage page = Page(name);
        foreach (string text in page.Codes.Select(static code => code.Text).Concat(page.Blocks.Select(static block => block.Text)))
        {
            foreach (Match call in Script().Matches(text))
            {
                string script = File.ReadAllText(Repository.PathOf(call.Groups[1].Value));
                if (script.Contains("[bench.sh option", StringComparison.Ordinal))
                    script += File.ReadAllText(Repository.PathOf("scripts", "bench.sh"));
                foreach (Match option in Option().Matches(call.Groups[2].Value))
                    Assert.Contains(option.Value, script, StringComparison.Ordinal);
            }
        }
    }

    /// <summary>What pages call a SHOW of the console is one.</summary>
    [Fact]
    public async Task ShowsAreKnownToTheConsole()
    {
        string[] shows = [.. MarkdownPage.All.SelectMany(static page => page.Codes).Select(static code => code.Text)
            .Where(static code => Show().IsMatch(code) && !code.StartsWith("SHOW FDS", StringComparison.Ordinal)).Distinct()];
        Assert.Contains("SHOW POOLS", shows);
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(new PoolerIni());
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        foreach (string show in shows)
            Assert.True((await console.QueryAsync(show)).Error is null, show);
    }

    /// <summary>What pages write as a setting with its value is a setting.</summary>
    [Fact]
    public void SettingsAreKnown()
    {
        var known = Page("docs/settings.md").Codes.Select(static code => code.Text).ToHashSet();
        var unknown = MarkdownPage.All.SelectMany(static page => page.Codes.Select(code => (page.Name, code.Line, code.Text)))
            .Select(static code => (code.Name, code.Line, Setting: Setting().Match(code.Text).Groups[1].Value))
            .Where(code => code.Setting.Length > 0 && !known.Contains(code.Setting) && !SettingsOfOthers.Contains(code.Setting))
            .Select(static code => $"{code.Name}:{code.Line}: {code.Setting}");
        Assert.Empty(unknown);
    }

    private static bool Leads(MarkdownPage from, string target)
    {
        if (target.Contains("://", StringComparison.Ordinal))
            return true;
        string[] parts = target.Split('#');
        string path = parts[0].Length == 0 ? from.Path : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(from.Path)!, parts[0]));
        if (parts.Length == 1)
            return Path.Exists(path);
        return MarkdownPage.All.FirstOrDefault(page => page.Path == path) is { } to && to.Anchors.Contains(parts[1]);
    }

    private static IEnumerable<string> FirstWords(string text) =>
        text.Replace("\\\n", " ", StringComparison.Ordinal).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Where(static line => !line.StartsWith('#')).Select(static line => line.Split(' ')[0]);

    [GeneratedRegex(@"(?<![\w/])(scripts/[\w-]+\.sh)((?: +(?![#|&])\S+)*)")]
    private static partial Regex Script();

    [GeneratedRegex(@"(?<=\s)--[a-z-]+")]
    private static partial Regex Option();

    [GeneratedRegex(@"^SHOW [A-Z_]+$")]
    private static partial Regex Show();

    [GeneratedRegex(@"^([a-z][a-z0-9_]*_[a-z0-9_]+) ?=(?!=)(?! *host=)")]
    private static partial Regex Setting();
}
