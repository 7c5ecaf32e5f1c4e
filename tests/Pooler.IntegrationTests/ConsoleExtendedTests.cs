using System.Buffers.Binary;

namespace Pooler.IntegrationTests;

/// <summary>The console over the extended protocol, message by message, as PostgreSQL answers it.</summary>
public sealed class ConsoleExtendedTests(PostgresCluster postgres)
{
    private const int Lists = 14; // Rows of SHOW LISTS.

    [Fact]
    public Task AStatementIsDescribedAndExecuted() => WithConsoleAsync(async wire =>
    {
        PgReply simple = await wire.QueryAsync("SHOW LISTS");
        PgReply reply = await SendAsync(wire, new PgRequest().Parse("", "SHOW LISTS").Describe('S', "").Bind("", "").Describe('P', "").Execute().Sync());
        Assert.Equal("1tT2T" + new string('D', Lists) + "CZ", reply.Types);
        Assert.Equal([0, 0], reply.Messages[1].Body); // No parameters.
        foreach (int description in (int[])[2, 4])
            Assert.Equal(RecordedConsole.Columns(simple.Messages[0]), RecordedConsole.Columns(reply.Messages[description]));
        Assert.Equal(simple.Rows.Select(static r => r[0]), reply.Rows.Select(static r => r[0]));
        Assert.Equal("SHOW", reply.Messages[^2].Text());
    });

    [Fact]
    public Task NamesLiveAsLongAsInPostgres() => WithConsoleAsync(async wire =>
    {
        Assert.Equal("1Z", (await SendAsync(wire, new PgRequest().Parse("lists", "SHOW LISTS").Sync())).Types);
        PgRequest twice = new PgRequest().Bind("a", "lists").Bind("b", "lists").Execute("a").Execute("b").Sync();
        string rows = new('D', Lists);
        Assert.Equal($"22{rows}C{rows}CZ", (await SendAsync(wire, twice)).Types);
        await AssertErrorAsync(wire, new PgRequest().Parse("lists", "SHOW STATE"), "42P05", "prepared statement \"lists\" already exists");
        await AssertErrorAsync(wire, new PgRequest().Execute("a"), "34000", "portal \"a\" does not exist");
        Assert.Equal("1", (await wire.QueryAsync("SHOW CLIENTS")).ToMaps().Single()["prepared_statements"]);
        Assert.Equal("3Z", (await SendAsync(wire, new PgRequest().Close('S', "lists").Sync())).Types);
        await AssertErrorAsync(wire, new PgRequest().Bind("", "lists"), "26000", "prepared statement \"lists\" does not exist");

        // A Query ends the statement without a name.
        await SendAsync(wire, new PgRequest().Parse("", "SHOW LISTS").Sync());
        Assert.Equal("2Z", (await SendAsync(wire, new PgRequest().Bind("", "").Sync())).Types);
        await wire.QueryAsync("SHOW STATE");
        await AssertErrorAsync(wire, new PgRequest().Bind("", ""), "26000", "unnamed prepared statement does not exist");
    });

    [Fact]
    public Task RowsComeByPortions() => WithConsoleAsync(async wire =>
    {
        PgReply whole = await wire.QueryAsync("SHOW LISTS");
        PgReply reply = await SendAsync(wire,
            new PgRequest().Parse("", "SHOW LISTS").Bind("p", "").Execute("p", 5).Execute("p", 9).Execute("p", 9).Execute("p").Close('P', "p").Sync());
        Assert.Equal("12DDDDDs" + "DDDDDDDDDs" + "C" + "C" + "3Z", reply.Types);
        Assert.Equal(whole.Rows.Select(static r => r[0]), reply.Rows.Select(static r => r[0]));
    });

    [Fact]
    public Task BehindAnErrorAllIsSkippedUpToSync() => WithConsoleAsync(async wire =>
    {
        await AssertErrorAsync(wire, new PgRequest().Parse("", "SHOW nonsense").Bind("", "").Describe('P', "").Execute().Execute().Query("RESUME"), "08P01",
            "invalid command 'SHOW nonsense', use SHOW HELP;", behind: "12n");
        await AssertErrorAsync(wire, new PgRequest().Parse("", "nonsense").Bind("", "").Execute(), "08P01", "invalid command 'nonsense', use SHOW HELP;");
        await AssertErrorAsync(wire, new PgRequest().Parse("", "PAUSE nosuch").Bind("", "").Execute().Execute(), "08P01", "no such database: nosuch", behind: "12");
        await AssertErrorAsync(wire, new PgRequest().Describe('S', "x"), "26000", "prepared statement \"x\" does not exist");
        await AssertErrorAsync(wire, new PgRequest().Describe('X', ""), "08P01", "invalid message subtype 88");
        await AssertErrorAsync(wire, new PgRequest().Message('B', static _ => { }), "08P01", "invalid message format");
        Assert.Equal("TDDDCZ", (await wire.QueryAsync("SHOW STATE")).Types);
    });

    [Fact]
    public Task BatchesArePipelined() => WithConsoleAsync(async wire =>
    {
        var request = new PgRequest();
        for (int i = 0; i < 30; i++)
            request.Parse("", i == 17 ? "nonsense" : "SHOW STATE").Bind("", "").Execute().Sync();
        await wire.SendAsync(request);
        for (int i = 0; i < 30; i++)
            Assert.Equal(i == 17 ? "EZ" : "12DDDCZ", (await wire.ReadReplyAsync()).Types);
        Assert.Equal("1Z", (await SendAsync(wire, new PgRequest().Parse("", "SHOW STATE").Flush().Sync())).Types);
    });

    [Fact]
    public Task ParametersAreRefused() => WithConsoleAsync(async wire =>
    {
        const string Words = "commands of the console take no parameters: write the value into the command";
        await AssertErrorAsync(wire, new PgRequest().Parse("", "PAUSE $1"), "0A000", Words);
        await AssertErrorAsync(wire, new PgRequest().Message('P', static body =>
        {
            PgRequest.WriteText(body, "");
            PgRequest.WriteText(body, "SHOW POOLS");
            PgRequest.WriteInt16(body, 1);
            PgRequest.WriteInt32(body, 25);
        }), "0A000", Words);
        await AssertErrorAsync(wire, new PgRequest().Parse("", "SHOW POOLS").Bind("", "", "app"), "08P01",
            "bind message supplies 1 parameters, but prepared statement \"\" requires 0", behind: "1");
    });

    [Fact]
    public Task CommandsWithoutRowsRunOnce() => WithConsoleAsync(async wire =>
    {
        PgReply paused = await SendAsync(wire, new PgRequest().Parse("", "PAUSE app").Describe('S', "").Bind("", "").Describe('P', "").Execute().Sync());
        Assert.Equal("1tn2nCZ", paused.Types);
        Assert.Equal("PAUSE", paused.Messages[^2].Text());
        await AssertErrorAsync(wire, new PgRequest().Parse("", "RESUME app").Bind("", "").Execute().Execute(), "55000", "portal \"\" cannot be run anymore", behind: "12C");
        ConsoleTests.AssertError(await wire.QueryAsync("RESUME app"), "database app is not paused");
        Assert.Equal("12NCZ", (await SendAsync(wire, new PgRequest().Parse("", "SHOW HELP").Bind("", "").Execute().Sync())).Types);
        Assert.Equal("12NCZ", (await SendAsync(wire, new PgRequest().Parse("", "SET DateStyle = ISO").Bind("", "").Execute().Sync())).Types);
        Assert.Equal("12IZ", (await SendAsync(wire, new PgRequest().Parse("", " ;").Bind("", "").Execute().Sync())).Types);
    });

    [Fact]
    public Task NumbersAreBinaryOnDemand() => WithConsoleAsync(async wire =>
    {
        PgReply reply = await SendAsync(wire, new PgRequest().Parse("", "SHOW LISTS").Message(Bind(0, 1)).Describe('P', "").Execute().Sync());
        PgMessage description = reply.Messages[2];
        Assert.Equal([0, 0, 0, 0], description.Body[9..13]); // list: no table; its format and that of items:
        Assert.Equal((0, 1), (description.Body["list".Length + 2 + 1 + 17], description.Body[^1]));
        Assert.All(reply.Messages.Where(static m => m.Type == 'D'), static row =>
        {
            int items = 2 + 4 + BinaryPrimitives.ReadInt32BigEndian(row.Body.AsSpan(2));
            Assert.Equal(4, BinaryPrimitives.ReadInt32BigEndian(row.Body.AsSpan(items)));
            Assert.Equal(items + 8, row.Body.Length);
        });
        await AssertErrorAsync(wire, new PgRequest().Parse("", "SHOW LISTS").Message(Bind(0, 1, 0)), "08P01", "bind message has 3 result formats but query has 2 columns", behind: "1");
        await AssertErrorAsync(wire, new PgRequest().Parse("", "SHOW LISTS").Message(Bind(7)), "22023", "unsupported format code: 7", behind: "1");
    });

    [Fact]
    public async Task RightsAreThoseOfTheSimpleProtocol()
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await pooler.LoginAsync("pgbouncer", "watcher");
        await AssertErrorAsync(wire, new PgRequest().Parse("", "PAUSE").Bind("", "").Execute(), "08P01", "admin access needed", behind: "12");
        await AssertErrorAsync(wire, new PgRequest().Parse("", "SHOW PREPARED").Bind("", "").Execute(), "08P01", "admin access needed", behind: "12");
        Assert.Equal("12DDDCZ", (await SendAsync(wire, new PgRequest().Parse("", "SHOW STATE").Bind("", "").Execute().Sync())).Types);
        Assert.Equal("yes", (await wire.QueryAsync("SHOW STATE")).Rows.First()[1]);
    }

    [Fact]
    public async Task OtherMessagesEndTheSession()
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await wire.SendAsync(new PgRequest().CopyDone());
        ConsoleTests.AssertError(await wire.ReadReplyAsync(), $"unsupported packet type for admin console: {(int)'c'}");
        await ConsoleCommandTests.AssertFatalAsync(wire, "08P01", "bad packet");
    }

    private static PgRequest Bind(params short[] formats) => new PgRequest().Message('B', body =>
    {
        PgRequest.WriteText(body, "");
        PgRequest.WriteText(body, "");
        PgRequest.WriteInt16(body, 0);
        PgRequest.WriteInt16(body, 0);
        PgRequest.WriteInt16(body, (short)formats.Length);
        foreach (short format in formats)
            PgRequest.WriteInt16(body, format);
    });

    private static async Task<PgReply> SendAsync(PgWire wire, PgRequest request)
    {
        await wire.SendAsync(request);
        return await wire.ReadReplyAsync();
    }

    /// <param name="behind">The types of the messages the error comes behind.</param>
    private static async Task AssertErrorAsync(PgWire wire, PgRequest request, string sqlState, string text, string behind = "")
    {
        PgReply reply = await SendAsync(wire, request.Sync());
        Assert.Equal(behind + "EZ", reply.Types);
        Dictionary<char, string> error = reply.Error!.Value.Fields();
        Assert.Equal(("ERROR", sqlState, text), (error['S'], error['C'], error['M']));
    }

    private async Task WithConsoleAsync(Func<PgWire, Task> test)
    {
        await using PoolerProcess pooler = await StartAsync();
        using PgWire wire = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        await test(wire);
    }

    private async Task<PoolerProcess> StartAsync()
    {
        string database = await postgres.CreateDatabaseAsync();
        return await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Databases["app"] = ini.Databases[database];
            ini.Settings["stats_users"] = "watcher";
            ini.Passwords["watcher"] = "";
        });
    }
}
