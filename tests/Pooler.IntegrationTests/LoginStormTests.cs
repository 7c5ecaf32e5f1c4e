using System.Net;
using System.Text;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>Many logins at once, and those that take long: who is in is served, who administers the pooler gets in.</summary>
public sealed class LoginStormTests(PostgresCluster postgres)
{
    // A second or more of PBKDF2 for each try.
    private const string Slow = "SCRAM-SHA-256$4000000:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    private const string AdminPassword = "let me see";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WhileLoginsTakeTheirTimeTheAdministratorGetsIn(bool isUnix)
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: static ini =>
        {
            ini.Settings["auth_type"] = "plain";
            ini.Settings["login_work_limit"] = "1";
            ini.Settings["workers"] = "1"; // What comes first is seen first.
            ini.Settings["max_client_conn"] = "4";
            ini.Passwords["slow"] = Slow;
            ini.Passwords[PoolerIni.Admin] = AdminPassword;
        });
        List<PgWire> wires = [];
        for (int i = 0; i < 4; i++)
        {
            PgWire wire = await AskedAsync(pooler.EndPoint, "slow", database);
            wires.Add(wire);
            await wire.SendAsync(new PgRequest().Password("wrong"));
        }

        using PgWire admin = await AskedAsync(isUnix ? pooler.UnixEndPoint : pooler.EndPoint, PoolerIni.Admin, "pgbouncer");
        Task<PgMessage?> last = wires[^1].ReadAsync().AsTask();
        await admin.SendAsync(new PgRequest().Password(AdminPassword));
        Assert.Null((await admin.ReadReplyAsync()).Error);
        Assert.NotNull((await admin.QueryAsync("SHOW VERSION")).Scalar);
        Assert.False(last.IsCompleted, "the administrator was behind the others");
        wires.ForEach(static wire => wire.Dispose());
        await Assert.ThrowsAnyAsync<Exception>(() => last);
    }

    /// <summary>Each of them has to be computed: nobody's password has been seen before.</summary>
    [Theory]
    [InlineData("scram-sha-256")]
    [InlineData("plain")]
    public async Task AStormOfLoginsGetsIn(string authType)
    {
        const int users = 60;
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = authType;
            ini.Databases[database] += $" user={PostgresCluster.User}";
            for (int i = 0; i < users; i++)
                ini.Passwords[$"user{i}"] = $"password {i}";
        });
        await using var present = new NpgsqlConnection(pooler.NpgsqlString(database, "user0", "password 0"));
        await present.OpenAsync();
        Task[] storm = [.. Enumerable.Range(0, users * 3).Select(i => Task.Run(async () =>
        {
            await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database, $"user{i % users}", $"password {i % users}"));
            await connection.OpenAsync();
            await using var command = new NpgsqlCommand("SELECT 1", connection);
            Assert.Equal(1, await command.ExecuteScalarAsync());
        }))];
        await using (var command = new NpgsqlCommand("SELECT 2", present))
            Assert.Equal(2, await command.ExecuteScalarAsync());
        await Task.WhenAll(storm);
    }

    /// <summary>Its password is asked for.</summary>
    private static async Task<PgWire> AskedAsync(EndPoint endPoint, string user, string database)
    {
        PgWire wire = await PgWire.ConnectAsync(endPoint);
        await wire.SendAsync(PgRequest.Startup(("user", user), ("database", database)));
        PgMessage asked = (await wire.ReadAsync())!.Value;
        Assert.True(asked.Type == 'R', Encoding.UTF8.GetString(asked.Body));
        return wire;
    }
}
