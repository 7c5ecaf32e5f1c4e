using System.Globalization;
using System.Net;
using System.Text;
using Npgsql;
using Pooler.Sql;
using Pooler.Tests.Sql;

namespace Pooler.IntegrationTests;

/// <summary>The classifier's word against PostgreSQL's: what it calls a read runs on a standby and in a read-only transaction.</summary>
public sealed class ClassifierTests(PostgresCluster postgres, ITestOutputHelper output)
{
    /// <summary>Of the corpus's statements that a standby runs as well as a primary, the share the classifier sends to the primary.</summary>
    private const double HarmlessLimit = 0.05;

    [Fact]
    public async Task ReadsOfTheCorpusRunWhereNothingCanBeWritten()
    {
        string database = await CreateAsync();
        ClassifierContext context = new(await ReadCatalogueAsync(postgres.Direct(database), [], []));
        await using PostgresHost standby = await PostgresHost.CopyAsync(postgres.Port);
        await standby.ReplaysAsync(await postgres.ScalarAsync<string>(PostgresCluster.Superuser, "SELECT pg_current_wal_insert_lsn()::text"));

        List<string> wrong = [], harmless = [];
        int reads = 0, ran = 0;
        foreach (CorpusStatement statement in CorpusStatement.Read())
        {
            StatementSummary told = StatementClassifier.Classify(statement.Bytes, context);
            if (statement.Told(told) != statement.Expected)
                wrong.Add($"{statement.Line}: {statement.Text}: {statement.Told(told)} ({told.Cause}), not {statement.Expected}");
            if (told.Class == StatementClass.Read)
            {
                reads++;
                wrong.AddRange(await RunReadAsync(statement, database, standby));
            }
            else if (told.Class == StatementClass.Write && !statement.Has("elsewhere") && await RunsAsync(statement, database, standby))
            {
                ran++;
                harmless.Add($"{statement.Line}: {statement.Text} ({told.Cause})");
            }
        }

        output.WriteLine($"{reads} reads ran on the standby and in a read-only transaction.");
        double share = ran / (double)(ran + reads);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{ran} statements ({share:P1} of what the standby runs) were called writes without need:"));
        output.WriteLine(string.Join('\n', harmless));
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(share <= HarmlessLimit, $"{share:P1}\n{string.Join('\n', harmless)}");
    }

    /// <summary>The rows the unit tests' catalogue is made of: POOLER_TEST_UPDATE=1 writes it anew.</summary>
    [Fact]
    public async Task TheUnitTestsKnowTheCatalogue()
    {
        string database = await CreateAsync();
        string corpus = await File.ReadAllTextAsync(Path.Combine(CorpusStatement.Folder, "corpus.txt"));
        List<string> rows = [.. (await ReadRowsAsync(postgres.Direct(database), [], []))
            .Where(row => corpus.Contains(row.Name.Replace("\"", "\"\"", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase))
            .Select(static row => $"{row.Kind} {row.Name}").Order(StringComparer.Ordinal)];
        string file = Path.Combine(CorpusStatement.Folder, "corpus-catalogue.txt");
        if (Environment.GetEnvironmentVariable("POOLER_TEST_UPDATE") == "1")
            await File.WriteAllLinesAsync(Path.Combine(SourceFolder(), "corpus-catalogue.txt"), rows);
        else
            Assert.Empty(File.ReadLines(file).Except(rows));
    }

    [Fact]
    public async Task NamesThatAreAllowedOrDeniedCountForWhatUsesThemToo()
    {
        string database = await CreateAsync();
        ClassifierContext context = new(await ReadCatalogueAsync(postgres.Direct(database), ["bump", "guarded"], ["safe_add", "tree"]));
        Assert.Equal(StatementClass.Read, Classify("select bump()", context));
        Assert.Equal(StatementClass.Read, Classify("select * from tickets", context));
        Assert.Equal(StatementClass.Read, Classify("select * from guarded", context));
        Assert.Equal(StatementClass.Write, Classify("select * from native_tickets", context));
        Assert.Equal(StatementClass.Write, Classify("select safe_add(1, 2)", context));
        Assert.Equal(StatementClass.Write, Classify("select * from richer", context));
        Assert.Equal(StatementClass.Write, Classify("select 1 <+> 2", context));
        Assert.Equal(StatementClass.Write, Classify("select * from tree", context));
        Assert.Equal(StatementClass.Read, Classify("select * from rich", context));
    }

    /// <summary>A role without rights sees the same.</summary>
    [Fact]
    public async Task EveryRoleReadsTheCatalogue()
    {
        string database = await CreateAsync();
        string ordinary = postgres.Direct(database).Replace($"Username={PostgresCluster.Superuser}", $"Username={PostgresCluster.User}", StringComparison.Ordinal);
        Assert.Equal((await ReadRowsAsync(postgres.Direct(database), [], [])).Order(), (await ReadRowsAsync(ordinary, [], [])).Order());
    }

    /// <summary>
    /// Into every place of every read goes the call of a function that writes, and the name of a view that does: what PostgreSQL
    /// then refuses in a read-only transaction has to be called a write. The function is unknown to the first catalogue.
    /// </summary>
    [Fact]
    public async Task WhatPostgresRefusesIsAWrite()
    {
        string database = await CreateAsync();
        ClassifierContext before = new(await ReadCatalogueAsync(postgres.Direct(database), [], []));
        await postgres.ExecuteAsync(database, string.Concat(((string[])["int", "numeric", "text", "boolean", "accounts"]).Select(static type =>
            $"CREATE FUNCTION fresh({type}) RETURNS {type} LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''ticket_seq''); RETURN $1; END';")));
        ClassifierContext after = new(await ReadCatalogueAsync(postgres.Direct(database), [], []));

        int tried = 0, refused = 0;
        List<string> wrong = [];
        using PgWire wire = await LoginAsync(postgres.Port, database);
        foreach (string text in CorpusStatement.Read().Where(static statement => statement.Class == "read").SelectMany(static statement => Spoil(statement.Text)).Distinct())
        {
            tried++;
            await wire.SendAsync(new PgRequest().Query("BEGIN READ ONLY").Query(text).Query("ROLLBACK"));
            await wire.ReadReplyAsync();
            bool isRefused = (await wire.ReadReplyAsync()).Error is { SqlState: "25006" };
            await wire.ReadReplyAsync();
            refused += isRefused ? 1 : 0;
            if (isRefused && (Classify(text, before) != StatementClass.Write || Classify(text, after) != StatementClass.Write))
                wrong.Add($"{text}: {Classify(text, before)}, {Classify(text, after)}");
        }

        output.WriteLine($"{refused} of {tried} texts were refused by PostgreSQL.");
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(refused > 500, $"{refused} of {tried}");
    }

    /// <summary>Several statements in a text: as many as PostgreSQL finds there.</summary>
    [Fact]
    public async Task TextsArePartedAsByPostgres()
    {
        string database = await CreateAsync();
        ClassifierContext context = new(await ReadCatalogueAsync(postgres.Direct(database), [], []));
        using PgWire wire = await LoginAsync(postgres.Port, database);
        foreach (CorpusStatement statement in CorpusStatement.Read())
        {
            // Parse takes one statement only, and says so before it looks at what that is.
            await wire.SendAsync(new PgRequest().Parse("", statement.Text).Sync());
            PgMessage? error = (await wire.ReadReplyAsync()).Error;
            bool isUnreadable = error is { SqlState: "42601" } && !error.Value.Fields()['M'].StartsWith("cannot insert multiple", StringComparison.Ordinal);
            bool isSeveral = error is { SqlState: "42601" } && !isUnreadable;
            if (!isUnreadable)
                Assert.True(isSeveral == StatementClassifier.Classify(statement.Bytes, context).IsSeveral, $"{statement.Line}: {statement.Text}: {error}");
        }
    }

    private async Task<string> CreateAsync()
    {
        string database = await postgres.CreateDatabaseAsync();
        await postgres.ExecuteAsync(database, await File.ReadAllTextAsync(Path.Combine(CorpusStatement.Folder, "corpus-schema.sql")));
        return database;
    }

    /// <summary>The text with a call around each of its tokens, and with a volatile view in place of each of its names.</summary>
    private static List<string> Spoil(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        List<string> spoilt = [];
        var lexer = new SqlLexer(bytes, hasConformingStrings: true);
        while (lexer.Next())
        {
            (string before, string token, string behind) = (Encoding.UTF8.GetString(bytes, 0, lexer.Start),
                Encoding.UTF8.GetString(bytes, lexer.Start, lexer.End - lexer.Start), Encoding.UTF8.GetString(bytes, lexer.End, bytes.Length - lexer.End));
            if (lexer.Kind is SqlTokenKind.Name or SqlTokenKind.QuotedName or SqlTokenKind.Literal or SqlTokenKind.Number)
                spoilt.AddRange([$"{before}fresh({token}){behind}", $"{before}fresh /**/ (1){behind}", $"{before}public.fresh({token}){behind}"]);
            if (lexer.Kind is SqlTokenKind.Name or SqlTokenKind.QuotedName)
                spoilt.AddRange([$"{before}tickets{behind}", $"{before}public.\"tickets\" {token}{behind}"]);
        }

        return spoilt;
    }

    private static string SourceFolder()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Pooler.sln")))
            folder = folder.Parent;
        return Path.Combine(folder!.FullName, "tests", "Pooler.Tests", "Sql");
    }

    private static StatementClass Classify(string text, in ClassifierContext context) => StatementClassifier.Classify(Encoding.UTF8.GetBytes(text), context).Class;

    private static async Task<VolatileNames> ReadCatalogueAsync(string connectionString, string[] allow, string[] deny) =>
        new(await ReadRowsAsync(connectionString, allow, deny), allow, deny);

    private static async Task<List<(char Kind, string Name)>> ReadRowsAsync(string connectionString, string[] allow, string[] deny)
    {
        await using var connection = new NpgsqlConnection(connectionString + ";Options=-c jit=off");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(CatalogueQuery.Text, connection);
        command.Parameters.Add(new NpgsqlParameter { Value = string.Join(',', allow) });
        command.Parameters.Add(new NpgsqlParameter { Value = string.Join(',', deny) });
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync();
        List<(char, string)> rows = [];
        while (await reader.ReadAsync())
            rows.Add((reader.GetString(0)[0], reader.GetString(1)));
        return rows;
    }

    private async Task<List<string>> RunReadAsync(CorpusStatement statement, string database, PostgresHost standby)
    {
        List<string> wrong = [];
        using (PgWire wire = await LoginAsync(standby.Port, database))
        {
            if ((await RunAsync(wire, statement)).Error is { } error)
                wrong.Add($"{statement.Line}: {statement.Text}: on the standby {error}");
        }

        using (PgWire wire = await LoginAsync(postgres.Port, database))
        {
            await wire.QueryAsync("BEGIN READ ONLY");
            if ((await RunAsync(wire, statement)).Error is { } error)
                wrong.Add($"{statement.Line}: {statement.Text}: in a read-only transaction {error}");
            else if ((await wire.QueryAsync("SELECT pg_current_xact_id_if_assigned()")).Scalar is { } number)
                wrong.Add($"{statement.Line}: {statement.Text}: took the transaction number {number}");
        }

        return wrong;
    }

    private static async Task<bool> RunsAsync(CorpusStatement statement, string database, PostgresHost standby)
    {
        using PgWire wire = await LoginAsync(standby.Port, database);
        return (await RunAsync(wire, statement)).Error is null;
    }

    /// <summary>Runs it as it stands; parameters are null.</summary>
    private static async Task<PgReply> RunAsync(PgWire wire, CorpusStatement statement)
    {
        int parameters = 0;
        var lexer = new SqlLexer(statement.Bytes, hasConformingStrings: true);
        while (lexer.Next())
            parameters = lexer.Kind == SqlTokenKind.Parameter ? Math.Max(parameters, int.Parse(lexer.Text[1..], CultureInfo.InvariantCulture)) : parameters;
        if (parameters == 0)
            return await wire.QueryAsync(statement.Text);
        await wire.SendAsync(new PgRequest().Parse("", statement.Text).Bind("", "", new string?[parameters]).Execute().Sync());
        return await wire.ReadReplyAsync();
    }

    private static async Task<PgWire> LoginAsync(int port, string database)
    {
        PgWire wire = await PgWire.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
        await wire.LoginAsync(database, PostgresCluster.Superuser);
        return wire;
    }
}
