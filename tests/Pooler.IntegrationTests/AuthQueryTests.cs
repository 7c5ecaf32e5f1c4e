using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>auth_user and auth_query: users whose secrets only the servers know.</summary>
public sealed class AuthQueryTests(PostgresCluster postgres)
{
    private const string Password = "from the server", Wrong = "wrong";

    [Theory]
    [InlineData(PostgresCluster.ByScram, "md5")]
    [InlineData(PostgresCluster.ByScram, "scram-sha-256")]
    [InlineData(PostgresCluster.ByScram, "plain")]
    [InlineData(PostgresCluster.ByMd5, "md5")]
    [InlineData(PostgresCluster.ByMd5, "plain")]
    public async Task WhoIsNotInAuthFileIsLookedUp(string group, string authType)
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(group, Password);
        await using PoolerProcess pooler = await StartAsync(database, ini => ini.Settings["auth_type"] = authType);
        Assert.Equal("28P01", await LoginAsync(pooler, database, member, Wrong));
        Assert.Equal(member, await LoginAsync(pooler, database, member, Password));
        Assert.Equal("28P01", await LoginAsync(pooler, database, member, Wrong));
        Assert.Equal("28P01", await LoginAsync(pooler, database, "stranger", Password));

        // Nobody becomes auth_user, or is let in by its name (CVE-2015-6817).
        Assert.Equal("28P01", await LoginAsync(pooler, database, "stranger", Wrong));
        Assert.Equal("28P01", await LoginAsync(pooler, database, PostgresCluster.Superuser, Password));
    }

    [Fact]
    public async Task APasswordThatHasChangedOrRunOutIsNotTaken()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await using PoolerProcess pooler = await StartAsync(database, static ini => ini.Settings["auth_query_cache_time"] = "60");
        Assert.Equal(member, await LoginAsync(pooler, database, member, Password));

        // A login that fails ends what was kept. (Npgsql tries twice by itself.)
        await postgres.ExecuteAsync(database, $"ALTER ROLE {member} PASSWORD 'new'");
        await Eventually.EqualsAsync("the new one is taken", member, () => LoginAsync(pooler, database, member, "new"));
        Assert.Equal("28P01", await LoginAsync(pooler, database, member, Password));

        await postgres.ExecuteAsync(database, $"ALTER ROLE {member} VALID UNTIL '2001-01-01'"); // CVE-2025-2291
        Assert.Equal("28P01", await LoginAsync(pooler, database, member, Wrong));
        await Eventually.EqualsAsync("it has run out", "28P01", () => LoginAsync(pooler, database, member, "new"));
    }

    /// <summary>What a client sets at its login is in force for itself alone (CVE-2025-12819).</summary>
    [Fact]
    public async Task NothingOfAClientReachesTheQuery()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await postgres.ExecuteAsync(database, $"""
            CREATE FUNCTION public.lookup(name text) RETURNS TABLE (u name, p text) LANGUAGE sql SECURITY DEFINER
                AS 'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = name AND current_setting(''search_path'') NOT LIKE ''%evil%''';
            CREATE SCHEMA evil;
            CREATE FUNCTION evil.lookup(name text) RETURNS TABLE (u name, p text) LANGUAGE sql AS 'SELECT name::name, ''{Wrong}''';
            GRANT USAGE ON SCHEMA evil TO PUBLIC;
            """);
        await using PoolerProcess pooler = await StartAsync(database, static ini =>
        {
            ini.Settings["auth_query"] = "SELECT u, p FROM lookup($1)";
            ini.Settings["ignore_startup_parameters"] = "extra_float_digits";
            ini.Settings["auth_query_cache_time"] = "0";
        });
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal("28P01", await LoginAsync(pooler, database, member, Wrong, "Search Path=evil"));
            Assert.Equal(member, await LoginAsync(pooler, database, member, Password, "Search Path=evil"));
        }
    }

    [Fact]
    public async Task ManyLoginsAskOnce()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await postgres.LogStatementsAsync(database);
        await using PoolerProcess pooler = await StartAsync(database, static ini => ini.Settings["auth_query_cache_time"] = "600");
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async _ => Assert.Equal(member, await LoginAsync(pooler, database, member, Password))));
        Assert.Equal(member, await LoginAsync(pooler, database, member, Password));
        Assert.Single(await postgres.LoggedStatementsAsync(database), static text => text.Contains("pg_authid", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AnEntryHasAQueryOfItsOwn()
    {
        string database = await postgres.CreateDatabaseAsync(), other = await postgres.CreateDatabaseAsync();
        await postgres.ExecuteAsync(other, $"CREATE TABLE public.people (n text, p text); INSERT INTO public.people VALUES ('{PostgresCluster.Borrowed}', '{Password}')");
        await using PoolerProcess pooler = await StartAsync(database, ini =>
        {
            ini.Settings.Remove("auth_user");
            ini.Databases[database] += $" auth_user={PostgresCluster.Superuser} auth_query='SELECT n, p FROM people WHERE n = $1' auth_dbname=other";
            ini.Databases["other"] = $"host=127.0.0.1 port={postgres.Port} dbname={other}";
            ini.Databases["lost"] = $"host=127.0.0.1 port={postgres.Port} dbname={other} auth_user={PostgresCluster.Superuser} auth_dbname=nowhere";
            ini.Databases["twice"] = $"host=127.0.0.1 port={postgres.Port} dbname={other} auth_user={PostgresCluster.Superuser} auth_query='SELECT n, p FROM people, generate_series(1, 2) WHERE n = $1'";
        });
        Assert.Equal("28P01", await LoginAsync(pooler, database, PostgresCluster.Borrowed, Wrong));
        Assert.NotEqual("28P01", await LoginAsync(pooler, database, PostgresCluster.Borrowed, Password)); // In; its server does not let it log in.
        Assert.Equal("28P01", await LoginAsync(pooler, "other", PostgresCluster.Borrowed, Password));
        Assert.Equal("08006", await LoginAsync(pooler, "lost", PostgresCluster.Borrowed, Password));
        Assert.Equal("08006", await LoginAsync(pooler, "twice", PostgresCluster.Borrowed, Password));
        await pooler.SeesInLogAsync("auth_query failed: auth_dbname: no such database: nowhere");
        await pooler.SeesInLogAsync("auth_query must return one row of two columns");
    }

    /// <summary>Who cannot be looked up does not get in, and those in auth_file do not notice.</summary>
    [Fact]
    public async Task AQueryThatFailsLetsNobodyIn()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await using PoolerProcess pooler = await StartAsync(database, ini =>
        {
            ini.Settings["auth_query"] = "SELECT nothing($1)";
            ini.Databases["gone"] = "host=127.0.0.1 port=1";
            ini.Databases["slow"] = ini.Databases[database] + " auth_query='SELECT $1, pg_sleep(60)::text'";
            ini.Settings["server_connect_timeout"] = "1";
            ini.Files["hba"] = "host pgbouncer all all trust\nhost all all all scram-sha-256\n";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Settings["auth_type"] = "hba";
        });
        Assert.Equal("08006", await LoginAsync(pooler, database, member, Password));
        Assert.Equal("08006", await LoginAsync(pooler, "gone", member, Password));
        Assert.Equal("08006", await LoginAsync(pooler, "slow", member, Password));
        Assert.Equal(PostgresCluster.ScramUser, await LoginAsync(pooler, database, PostgresCluster.ScramUser, PostgresCluster.ScramPassword));
        await pooler.SeesInLogAsync("auth_query failed: function nothing(unknown) does not exist (42883)");

        // Mended, with the connection cut in between.
        string file = Path.Combine(pooler.Folder, "pooler.ini");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("SELECT nothing($1)", "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1", StringComparison.Ordinal));
        using PgWire console = await pooler.LoginAsync("pgbouncer", PoolerIni.Admin);
        Assert.Null((await console.QueryAsync("RELOAD")).Error);
        Assert.Equal(member, await LoginAsync(pooler, database, member, Password));
        await postgres.ExecuteAsync(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pooler auth_query'");
        string second = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await Eventually.EqualsAsync("it connects anew", second, () => LoginAsync(pooler, database, second, Password));
    }

    /// <summary>A client that connected before a RELOAD and speaks after it is looked up as the new configuration has it.</summary>
    [Fact]
    public async Task AnAuthUserThatIsTakenOutAsksForNobodyAnyMore()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await using PoolerProcess pooler = await StartAsync(database, static ini => ini.Settings["auth_type"] = "trust");
        using PgWire early = await pooler.AcceptedAsync();
        string file = Path.Combine(pooler.Folder, "pooler.ini");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace($"auth_user = {PostgresCluster.Superuser}", "", StringComparison.Ordinal));
        await pooler.CommandAsync("RELOAD");
        await early.SendAsync(PgRequest.Startup(("user", member), ("database", database)));
        Assert.Contains("authentication failed", (await early.ReadToEndAsync()).Single(static message => message.Type == 'E').ToString(), StringComparison.Ordinal);
        Assert.Equal(PostgresCluster.User, await LoginAsync(pooler, database, PostgresCluster.User, ""));
    }

    /// <summary>Who gave a name and has left does not hold up those behind him.</summary>
    [Fact]
    public async Task WhoHasLeftIsNotAskedFor()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await postgres.ExecuteAsync(database, "CREATE TABLE public.asked (name text)");
        await postgres.ExecuteAsync(database, """
            CREATE FUNCTION public.lookup(who text) RETURNS TABLE (u name, p text) LANGUAGE sql AS
                'INSERT INTO public.asked VALUES (who); SELECT pg_advisory_xact_lock(70); SELECT rolname, rolpassword FROM pg_authid WHERE rolname = who';
            """);
        await using PoolerProcess pooler = await StartAsync(database, static ini => ini.Settings["auth_query"] = "SELECT u, p FROM lookup($1)");
        await using var gate = new NpgsqlConnection(postgres.Direct(database));
        await gate.OpenAsync();
        await using var take = new NpgsqlCommand("SELECT pg_advisory_lock(70)", gate);
        await using var open = new NpgsqlCommand("SELECT pg_advisory_unlock(70)", gate);
        await take.ExecuteNonQueryAsync();

        using PgWire first = await PgWire.ConnectAsync(pooler.EndPoint);
        await first.SendAsync(PgRequest.Startup(("user", "first"), ("database", database)));
        await Eventually.EqualsAsync("the first is asked for", 1L, () =>
            postgres.ScalarAsync<long>(database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 70 AND NOT granted"));
        for (int i = 0; i < 5; i++)
        {
            using PgWire passer = await PgWire.ConnectAsync(pooler.EndPoint);
            await passer.SendAsync(PgRequest.Startup(("user", $"passer{i}"), ("database", database)));
        }

        await Eventually.EqualsAsync("they have left", 5, () => Task.FromResult(pooler.LogLines.Count(static line => line.Contains("/passer", StringComparison.Ordinal) && line.Contains("closing because", StringComparison.Ordinal))));
        Task<string> comer = LoginAsync(pooler, database, member, Password);
        await open.ExecuteNonQueryAsync();
        Assert.Equal(member, await comer);
        Assert.Equal(0L, await postgres.ScalarAsync<long>(database, "SELECT count(*) FROM asked WHERE name LIKE 'passer%'"));
    }

    /// <summary>However busy it is: what its host's name stands for may have changed, or the settings of its role.</summary>
    [Fact]
    public async Task TheConnectionHasALifetimeToo()
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await using PoolerProcess pooler = await StartAsync(database, static ini =>
        {
            ini.Settings["server_lifetime"] = "1";
            ini.Settings["auth_query_cache_time"] = "0";
        });
        int first = await LoginAndFindAsync();
        await Eventually.EqualsAsync("there is another", true, async () => await LoginAndFindAsync() != first);

        async Task<int> LoginAndFindAsync()
        {
            Assert.Equal(member, await LoginAsync(pooler, database, member, Password));
            return await postgres.ScalarAsync<int>(database, $"SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'pooler auth_query' AND datname = '{database}'");
        }
    }

    /// <summary>0 is no limit, not the shortest one.</summary>
    [Theory]
    [InlineData("server_connect_timeout")]
    [InlineData("server_idle_timeout")]
    public async Task AQueryMayTakeItsTimeWhereNoLimitIsSet(string setting)
    {
        string database = await postgres.CreateDatabaseAsync(), member = await postgres.CreateMemberAsync(PostgresCluster.ByScram, Password);
        await using PoolerProcess pooler = await StartAsync(database, ini =>
        {
            ini.Settings[setting] = "0";
            ini.Settings["auth_query"] = "SELECT rolname, rolpassword FROM pg_authid, pg_sleep(0.2) WHERE rolname = $1";
            ini.Settings["auth_query_cache_time"] = "0";
        });
        Assert.Equal(member, await LoginAsync(pooler, database, member, Password));
    }

    private Task<PoolerProcess> StartAsync(string database, Action<PoolerIni>? adjust = null) => PoolerProcess.StartAsync(postgres, database, adjust: ini =>
    {
        ini.Settings["auth_type"] = "scram-sha-256";
        ini.Settings["auth_user"] = PostgresCluster.Superuser;
        adjust?.Invoke(ini);
    });

    /// <summary>Who the server says it is, else SQLSTATE.</summary>
    private static async Task<string> LoginAsync(PoolerProcess pooler, string database, string user, string password, string more = "")
    {
        try
        {
            await using var connection = new NpgsqlConnection(pooler.NpgsqlString(database, user, password) + $";Server Compatibility Mode=NoTypeLoading;SSL Mode=Disable;{more}");
            await connection.OpenAsync();
            await using var command = new NpgsqlCommand("SELECT current_user::text", connection);
            return (string)(await command.ExecuteScalarAsync())!;
        }
        catch (PostgresException e)
        {
            return e.SqlState;
        }
    }
}
