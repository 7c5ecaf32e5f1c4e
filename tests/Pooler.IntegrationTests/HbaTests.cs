using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>auth_type = hba: who may come how, from where, as whom.</summary>
public sealed class HbaTests(PostgresCluster postgres)
{
    private const string User = PostgresCluster.ScramUser, Password = PostgresCluster.ScramPassword;

    [Fact]
    public async Task TheFirstLineDecides()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, $"""
            host pgbouncer {PoolerIni.Admin} all trust
            host {database} {PostgresCluster.Md5User} 127.0.0.1/32 reject
            host sameuser,{database} all samehost scram-sha-256
            local all {PostgresCluster.Md5User} password
            local all {User} md5
            """);
        Assert.Equal("", await LoginAsync(pooler, database, User, Password));
        Assert.Equal("28P01", await LoginAsync(pooler, database, User, "wrong"));
        Assert.Equal("28000 login rejected", await LoginAsync(pooler, database, PostgresCluster.Md5User, PostgresCluster.Md5Password));
        Assert.Equal("28000 login rejected", await LoginAsync(pooler, "other", User, Password));
        Assert.Equal("28P01", await LoginAsync(pooler, database, "stranger", "wrong"));

        // Over the Unix socket.
        Assert.Equal("", await LoginAsync(pooler, database, User, Password, pooler.Folder));
        Assert.Equal("28P01", await LoginAsync(pooler, database, User, "wrong", pooler.Folder));
        Assert.Equal("", await LoginAsync(pooler, database, PostgresCluster.Md5User, PostgresCluster.Md5Password, pooler.Folder));
        Assert.Equal("28000 login rejected", await LoginAsync(pooler, database, "stranger", "x", pooler.Folder));

        // The console is a database among others.
        Assert.NotEmpty(await pooler.ConsoleAsync("SHOW VERSION"));
        using PgWire console = await PgWire.ConnectAsync(pooler.UnixEndPoint);
        Assert.Equal("login rejected", (await console.StartAsync(("user", PoolerIni.Admin), ("database", "pgbouncer"))).Error!.Value.Fields()['M']);
    }

    [Fact]
    public async Task PeerIsByTheKernelsWord()
    {
        string database = await postgres.CreateDatabaseAsync(), me = Environment.UserName;
        await using PoolerProcess pooler = await StartAsync(database, $"""
            host pgbouncer all all trust
            local "{database}" {PostgresCluster.User} peer map=ops
            local "{database}" all peer
            """, $"ops {me} {PostgresCluster.User}", ini => ini.Passwords[me] = "");
        Assert.Equal("", await LoginAsync(pooler, database, PostgresCluster.User, "", pooler.Folder));
        Assert.Equal("28000 login rejected", await LoginAsync(pooler, database, User, "", pooler.Folder));
        using PgWire own = await PgWire.ConnectAsync(pooler.UnixEndPoint);
        Assert.StartsWith("R", (await own.StartAsync(("user", me), ("database", database))).Types, StringComparison.Ordinal); // Let in; the server does not know him.
        Assert.Equal("28000 login rejected", await LoginAsync(pooler, database, PostgresCluster.User, "", "127.0.0.1"));
    }

    /// <summary>A file that says something else takes effect with RELOAD, one with an error in it never does.</summary>
    [Fact]
    public async Task RulesAreReadAnewByReload()
    {
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, "host all all all trust");
        string file = Path.Combine(pooler.Folder, "hba");
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Equal("", await LoginAsync(pooler, database, User, ""));

        await File.WriteAllTextAsync(file, "host all all all reject\nhost all all nowhere trust\n");
        PgMessage error = (await console.QueryAsync("RELOAD")).Error!.Value;
        Assert.Equal("F0000", error.SqlState);
        await pooler.SeesInLogAsync("hba:2: \"nowhere\" is no address");
        Assert.Equal("", await LoginAsync(pooler, database, User, ""));

        await File.WriteAllTextAsync(file, "host all all all reject\n");
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
        Assert.Equal("28000 login rejected", await LoginAsync(pooler, database, User, ""));
        Assert.Equal("1", (await console.QueryAsync("SHOW VERSION")).Rows.Count().ToString());
    }

    private Task<PoolerProcess> StartAsync(string database, string rules, string? maps = null, Action<PoolerIni>? adjust = null)
    {
        return PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Settings["auth_type"] = "hba";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Files["hba"] = rules;
            if (maps != null)
            {
                ini.Settings["auth_ident_file"] = "ident";
                ini.Files["ident"] = maps;
            }

            adjust?.Invoke(ini);
        });
    }

    /// <summary>Empty when it got in, else SQLSTATE and, but for a wrong password, the text.</summary>
    private static async Task<string> LoginAsync(PoolerProcess pooler, string database, string user, string password, string? host = null)
    {
        try
        {
            await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database, user, password, host) + ";Server Compatibility Mode=NoTypeLoading;SSL Mode=Disable");
            await connection.OpenAsync();
            return "";
        }
        catch (PostgresException e)
        {
            return e.SqlState == PostgresErrorCodes.InvalidPassword ? e.SqlState : $"{e.SqlState} {e.MessageText}";
        }
    }
}
