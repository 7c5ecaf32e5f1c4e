using System.Text.RegularExpressions;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Tests.Config;
using Pooler.Tests.Rooms;
using Xunit;

namespace Pooler.Tests.Errors;

/// <summary>The table of errors, its page, and that there is no other place where errors are made.</summary>
public sealed partial class ErrorsPageTests
{
    /// <summary>Set this variable to 1 and run the test to write the page anew.</summary>
    private const string UpdateVariable = "POOLER_TEST_UPDATE";

    private static readonly ClientError[] All = [.. ErrorRows.All.SelectMany(static part => part.Rows)];

    [Fact]
    public void TheCommittedPageIsTheTable()
    {
        string path = Repository.Path("docs", "errors.md");
        string page = ErrorsPage.Render();
        if (Environment.GetEnvironmentVariable(UpdateVariable) == "1")
        {
            File.WriteAllText(path, page);
        }

        Assert.True(File.ReadAllText(path) == page, $"docs/errors.md is not the table: run this test with {UpdateVariable}=1");
        Assert.All(All, row => Assert.Contains(row.PageText, page, StringComparison.Ordinal));
    }

    [Fact]
    public void ARowSaysAllThereIsToSay() => Assert.All(All, static row =>
    {
        Assert.Matches("^[0-9A-Z]{5}$", row.SqlState);
        Assert.EndsWith(".", row.Meaning, StringComparison.Ordinal);
        Assert.EndsWith(".", row.Advice, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', row.Message);
    });

    /// <summary>A word that looks like a setting's is one.</summary>
    [Fact]
    public void TheSettingsOfAdviceExist()
    {
        string[] known = [.. Settings.All.Select(static s => s.Name), .. Settings.All.Where(static s => s.Alias != null).Select(static s => s.Alias!),
            "listen_addresses", "pg_authid", "statement_timeout", "scram_iterations", "pg_wal_replay_pause"];
        string[] named = [.. All.SelectMany(static row => SettingLike().Matches(row.Advice + " " + row.Meaning).Select(static m => m.Value)).Distinct()];
        Assert.Contains("query_timeout", named);
        Assert.Empty(named.Except(known));
    }

    /// <summary>Who has proved nothing is told no hint, and what he is told has no place for figures.</summary>
    [Fact]
    public void StrangersLearnNothing()
    {
        Assert.All(All.Where(static row => row.IsForStrangers), static row => Assert.Null(row.Fields("x").Hint));
        string[] strangers = ["password authentication failed", "SASL authentication failed", "login rejected", "no more connections allowed (max_client_conn)"];
        Assert.All(strangers, text => Assert.True(All.Single(row => row.Message == text).IsForStrangers, text));
    }

    [Fact]
    public void TheHintSaysWhereTheSettingStands()
    {
        ConfigResult loaded = ConfigLoader.Load(null, new Dictionary<string, string>
        {
            ["POOLER_QUERY_WAIT_TIMEOUT"] = "7",
            ["POOLER_DATABASES__db"] = "host=h query_wait_timeout=5",
            ["POOLER_USERS__u"] = "query_wait_timeout=3",
        });
        PoolerConfig config = loaded.Config ?? throw new InvalidOperationException(string.Join('\n', loaded.Errors));
        string Hint(string database, string user) => SessionErrors.QueryWaitTimeout.Because("why", config, database, user).Hint!;
        Assert.StartsWith("query_wait_timeout = 3 (entry \"u\" of [users]). See ", Hint("db", "u"), StringComparison.Ordinal);
        Assert.StartsWith("query_wait_timeout = 5 (entry \"db\" of [databases]). ", Hint("db", "other"), StringComparison.Ordinal);
        Assert.StartsWith("query_wait_timeout = 7 ([pgbouncer]). ", Hint("any", "other"), StringComparison.Ordinal);
        Assert.StartsWith("query_timeout = 0 ([pgbouncer], the default). ", SessionErrors.QueryTimeout.Because("why", config, "any", "u").Hint, StringComparison.Ordinal);
    }

    /// <summary>A row that nothing makes is no error of ours; an error that no row makes is on no page.</summary>
    [Fact]
    public void ErrorsAreMadeFromTheTableAlone()
    {
        SourceFile[] rest = [.. SourceFile.OfPooler.Where(static f => f.Room != "Errors")];
        string code = string.Concat(rest.Select(static f => f.Code));
        Assert.All(rest, static file => Assert.DoesNotContain("new ErrorFields(", file.Code, StringComparison.Ordinal));
        foreach (Type part in (Type[])[typeof(LoginErrors), typeof(SessionErrors), typeof(ServerErrors), typeof(ConsoleErrors)])
        {
            Assert.All(part.GetFields().Where(static f => f.FieldType == typeof(ClientError)), field => Assert.Contains($"{part.Name}.{field.Name}", code, StringComparison.Ordinal));
        }
    }

    [GeneratedRegex(@"(?<![.\w])[a-z]+(_[a-z]+)+\b")]
    private static partial Regex SettingLike();
}
