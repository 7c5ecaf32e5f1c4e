using System.Buffers;
using System.Diagnostics;
using System.Net;
using System.Text;

namespace Pooler.IntegrationTests;

/// <summary>login_failure_limit: who guesses passwords waits, and nobody else does; nobody is refused for it, and nobody learns who exists.</summary>
public sealed class LoginFailureTests(PostgresCluster postgres)
{
    private const string Password = "sesame";
    private static readonly TimeSpan Delay = TimeSpan.FromSeconds(2);

    [Theory]
    [InlineData(PostgresCluster.User, "plain")]
    [InlineData(PostgresCluster.User, "scram-sha-256")]
    [InlineData("nobody_here", "plain")]
    [InlineData("nobody_here", "scram-sha-256")]
    public async Task BehindTooManyFailuresTheVerdictIsKeptBack(string user, string authType)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, authType);
        await FailAsync(pooler, "127.0.0.9", user, database, 12);

        // By its name from wherever, and by its address whoever it is.
        long start = Stopwatch.GetTimestamp();
        string[] verdicts = await Task.WhenAll(
            TryAsync(pooler, "127.0.0.10", user, database, "wrong"),
            TryAsync(pooler, "127.0.0.9", "other", database, "wrong"),
            TryAsync(pooler, "127.0.0.9", PostgresCluster.ScramUser, database, "wrong"));
        Assert.Equal(["28P01", "28P01", "28P01"], verdicts);
        Assert.InRange(Stopwatch.GetElapsedTime(start), Delay, TimeSpan.MaxValue);
        Assert.Contains(pooler.LogLines, line => line.Contains($"user \"{user}\": more than 3 failed logins within 60 s", StringComparison.Ordinal));
        Assert.Contains(pooler.LogLines, static line => line.Contains("127.0.0.9: more than 3 failed logins within 60 s", StringComparison.Ordinal));
    }

    [Fact]
    public async Task TheRightPasswordGetsInAllTheSameAndSoonerAfterwards()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "plain");
        await FailAsync(pooler, "127.0.0.9", PostgresCluster.User, database, 12);

        long start = Stopwatch.GetTimestamp();
        Task<string> late = TryAsync(pooler, "127.0.0.10", PostgresCluster.User, database, Password);
        // Others wait for nothing meanwhile.
        Assert.Equal("", await TryAsync(pooler, "127.0.0.10", PostgresCluster.ScramUser, database, PostgresCluster.ScramPassword));
        Assert.False(late.IsCompleted, "the delay is for this user only");
        Assert.Equal("", await late);
        Assert.InRange(Stopwatch.GetElapsedTime(start), Delay, TimeSpan.MaxValue);

        // Who has proved to be it, from there, does not answer for what others do, elsewhere or beside it.
        late = TryAsync(pooler, "127.0.0.11", PostgresCluster.User, database, Password);
        Assert.Equal("", await TryAsync(pooler, "127.0.0.10", PostgresCluster.User, database, Password));
        Assert.False(late.IsCompleted, "it is waited for what it has failed itself");
        await FailAsync(pooler, "127.0.0.10", "others", database, 12);
        late = TryAsync(pooler, "127.0.0.10", "others", database, "wrong");
        Assert.Equal("", await TryAsync(pooler, "127.0.0.10", PostgresCluster.User, database, Password));
        Assert.False(late.IsCompleted, "it is waited for what its neighbours have failed");
    }

    /// <summary>Over the Unix socket nobody has an address to be counted by; who is behind a proxy has his own.</summary>
    [Fact]
    public async Task WhoseFailuresTheyAre()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "plain", static ini => ini.Settings["proxy_protocol_networks"] = "127.0.0.1");
        await Task.WhenAll(Enumerable.Range(0, 12).Select(async i =>
        {
            using PgWire proxied = await PgWire.ConnectAsync(pooler.EndPoint);
            await proxied.SendAsync(Encoding.ASCII.GetBytes("PROXY TCP4 192.0.2.7 198.51.100.1 5000 6432\r\n"));
            await VerdictAsync(proxied, $"wrong{i}", database, "wrong");
            using PgWire local = await PgWire.ConnectAsync(pooler.UnixEndPoint);
            await VerdictAsync(local, $"local{i}", database, "wrong");
        }));

        using PgWire same = await PgWire.ConnectAsync(pooler.EndPoint), other = await PgWire.ConnectAsync(pooler.EndPoint), unix = await PgWire.ConnectAsync(pooler.UnixEndPoint);
        await same.SendAsync(Encoding.ASCII.GetBytes("PROXY TCP4 192.0.2.7 198.51.100.1 5001 6432\r\n"));
        Task<string> late = VerdictAsync(same, PostgresCluster.User, database, Password);
        await other.SendAsync(Encoding.ASCII.GetBytes("PROXY TCP4 192.0.2.8 198.51.100.1 5000 6432\r\n"));
        Assert.Equal("", await VerdictAsync(other, PostgresCluster.User, database, Password));
        Assert.Equal("", await VerdictAsync(unix, PostgresCluster.User, database, Password));
        Assert.False(late.IsCompleted, "an address of the proxy's network is delayed by itself");
        Assert.Equal("", await late);
    }

    /// <summary>A client that waits for its verdict holds nothing but its connection, and is gone when it goes.</summary>
    [Fact]
    public async Task WhoLeavesMeanwhileIsGoneAtOnce()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "plain", static ini => ini.Settings["login_failure_delay"] = "29");
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => TryAsync(pooler, "127.0.0.9", "guess", database, "wrong")));
        List<PgWire> waiting = [];
        for (int i = 0; i < 6; i++)
        {
            PgWire wire = await ConnectFromAsync(pooler, "127.0.0.9");
            await wire.SendAsync(PgRequest.Startup(("user", "guess"), ("database", database)));
            await wire.SendAsync(new PgRequest().Password("wrong"));
            waiting.Add(wire);
        }

        await Eventually.EqualsAsync("they wait", "6", async () => await LoginsAsync(pooler));
        waiting.ForEach(static wire => wire.Dispose());
        await Eventually.EqualsAsync("they are gone", "0", async () => await LoginsAsync(pooler));
    }

    private static async Task<string?> LoginsAsync(PoolerProcess pooler)
    {
        using PgWire console = await PgWire.ConnectAsync(pooler.UnixEndPoint);
        await VerdictAsync(console, PoolerIni.Admin, "pgbouncer", Password);
        return (await console.QueryAsync("SHOW LISTS")).ToMaps().Single(static row => row["list"] == "login_clients")["items"];
    }

    private Task<PoolerProcess> StartAsync(string database, string authType, Action<PoolerIni>? adjust = null) => PoolerProcess.StartAsync(postgres, database, adjust: ini =>
    {
        ini.Settings["auth_type"] = authType;
        ini.Settings["login_failure_limit"] = "3";
        ini.Settings["login_failure_delay"] = $"{Delay.TotalSeconds}";
        ini.Passwords[PostgresCluster.User] = Password;
        ini.Passwords[PoolerIni.Admin] = Password;
        adjust?.Invoke(ini);
    });

    /// <summary>So many failures at once: each is counted when it is found to be one.</summary>
    private static Task<string[]> FailAsync(PoolerProcess pooler, string from, string user, string database, int times) =>
        Task.WhenAll(Enumerable.Range(0, times).Select(_ => TryAsync(pooler, from, user, database, "wrong")));

    private static async Task<string> TryAsync(PoolerProcess pooler, string from, string user, string database, string password)
    {
        using PgWire wire = await ConnectFromAsync(pooler, from);
        return await VerdictAsync(wire, user, database, password);
    }

    private static Task<PgWire> ConnectFromAsync(PoolerProcess pooler, string from) =>
        PgWire.ConnectAsync(pooler.EndPoint, new IPEndPoint(IPAddress.Parse(from), 0));

    /// <summary>"" when the login works, else its SQLSTATE. By SCRAM every password is wrong.</summary>
    private static async Task<string> VerdictAsync(PgWire wire, string user, string database, string password)
    {
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", database)));
        if ((await wire.ReadAsync())!.Value.Body[3] == 10)
        {
            await wire.SendAsync(new PgRequest().SaslInitial("n,,n=,r=abcdefghijklmnopqr"));
            string nonce = Encoding.ASCII.GetString((await wire.ReadAsync())!.Value.Body.AsSpan(4)).Split(',')[0];
            await wire.SendAsync(new PgRequest().Message('p', body => body.Write(Encoding.ASCII.GetBytes($"c=biws,{nonce},p={Convert.ToBase64String(new byte[32])}"))));
        }
        else
        {
            await wire.SendAsync(new PgRequest().Password(password));
        }

        while (await wire.ReadAsync() is { } message)
        {
            if (message.Type is 'E' or 'Z')
                return message.Type == 'E' ? message.SqlState : "";
        }

        return "closed";
    }
}
