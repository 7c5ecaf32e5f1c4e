using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class PoolerConfigTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void UserBeatsDatabaseBeatsGlobal()
    {
        PoolerConfig config = Load("""
            pool_mode = session
            default_pool_size = 20
            reserve_pool_size = 1
            query_wait_timeout = 100
            max_db_connections = 50
            max_user_connections = 60
            query_timeout = 1
            server_lifetime = 0.5
            min_pool_size = 4
            [databases]
            plain =
            app = pool_mode=transaction pool_size=10 reserve_pool=2 query_wait_timeout=90 max_db_connections=51 min_pool_size=5
            [users]
            bob = pool_mode=statement pool_size=3 reserve_pool_size=0 query_wait_timeout=0 max_user_connections=61 query_timeout=2
            """);
        PoolSettings global = config.Resolve(config.Databases["plain"], "alice");
        PoolSettings database = config.Resolve(config.Databases["app"], "alice");
        PoolSettings user = config.Resolve(config.Databases["app"], "bob");
        Assert.Equal([PoolMode.Session, PoolMode.Transaction, PoolMode.Statement], [global.Mode, database.Mode, user.Mode]);
        Assert.Equal([20, 10, 3], [global.PoolSize, database.PoolSize, user.PoolSize]);
        Assert.Equal([1, 2, 0], [global.ReservePoolSize, database.ReservePoolSize, user.ReservePoolSize]);
        Assert.Equal([100, 90, 0],
            [global.QueryWaitTimeout.TotalSeconds, database.QueryWaitTimeout.TotalSeconds, user.QueryWaitTimeout.TotalSeconds]);
        Assert.Equal([50, 51, 51], [global.MaxDbConnections, database.MaxDbConnections, user.MaxDbConnections]);
        Assert.Equal([60, 60, 61], [global.MaxUserConnections, database.MaxUserConnections, user.MaxUserConnections]);
        Assert.Equal([1, 1, 2], [global.QueryTimeout.TotalSeconds, database.QueryTimeout.TotalSeconds, user.QueryTimeout.TotalSeconds]);
        Assert.Equal(0.5, user.ServerLifetime.TotalSeconds);
        Assert.Equal([4, 5, 3], [global.MinPoolSize, database.MinPoolSize, user.MinPoolSize]);
    }

    [Fact]
    public void ADatabaseHasItsOwnServerLifetime()
    {
        PoolerConfig config = Load("server_lifetime = 3\n[databases]\na = server_lifetime=0\nb =");
        Assert.Equal(TimeSpan.Zero, config.Resolve(config.Databases["a"], "alice").ServerLifetime);
        Assert.Equal(TimeSpan.FromSeconds(3), config.Resolve(config.Databases["b"], "alice").ServerLifetime);
    }

    [Fact]
    public void DefaultsArePgBouncers()
    {
        PoolerConfig config = Load("[databases]\napp =");
        PoolSettings settings = config.Resolve(config.Databases["app"], "alice");
        Assert.Equal(TimeSpan.FromSeconds(5), settings.ReservePoolTimeout);
        Assert.Equal(TimeSpan.FromSeconds(5), settings.QueryWaitNotify);
        Assert.Equal(TimeSpan.FromSeconds(600), settings.ServerIdleTimeout);
        Assert.Equal(TimeSpan.FromSeconds(15), settings.ServerConnectTimeout);
        Assert.Equal(TimeSpan.FromSeconds(30), settings.ServerCheckDelay);
        Assert.Equal(TimeSpan.FromSeconds(5), settings.ServerCleanupTimeout);
        Assert.Equal(TimeSpan.Zero, settings.ClientWriteTimeout);
        Assert.Equal(PoolSettings.EmptyCheckQuery, settings.ServerCheckQuery);
        Assert.Equal("DISCARD ALL", settings.ServerResetQuery);
        Assert.False(settings.RoundRobin);
        Assert.Null(settings.ConnectQuery);
    }

    [Fact]
    public void AnUnlimitedPoolDoesNotCapItsMinimum()
    {
        PoolerConfig config = Load("[databases]\napp = pool_size=0 min_pool_size=5");
        Assert.Equal(5, config.Resolve(config.Databases["app"], "alice").MinPoolSize);
    }

    [Fact]
    public void MinusOneMeansNotSet()
    {
        PoolerConfig config = Load("[databases]\napp = pool_size=-1 query_wait_timeout=-1\n[users]\nbob = query_timeout=-1");
        Assert.Null(config.Databases["app"].PoolSize);
        Assert.Null(config.Databases["app"].QueryWaitTimeout);
        Assert.Null(config.Users["bob"].QueryTimeout);
    }

    [Fact]
    public void DatabaseKeysAreRead()
    {
        DatabaseConfig database = Load("[databases]\napp = host=/run/pg port=5433 dbname=real user=boss password='p w' "
            + "connect_query='set x = ''1''' client_encoding=UTF8 datestyle='ISO, DMY' timezone=UTC application_name=pool")
            .Databases["app"];
        DatabaseConfig expected = new()
        {
            Name = "app",
            DbName = "real",
            Hosts = database.Hosts,
            ForcedUser = "boss",
            Password = "p w",
            ConnectQuery = "set x = '1'",
            ClientEncoding = "UTF8",
            DateStyle = "ISO, DMY",
            TimeZone = "UTC",
            ApplicationName = "pool",
        };
        Assert.Equal(expected, database);
        Assert.Equal([new HostAddress("/run/pg", 5433)], database.Hosts);
        Assert.True(database.Hosts[0].IsUnixSocket);
    }

    [Fact]
    public void WithoutKeysADatabaseIsItsOwnNameOnTheDefaultSocket()
    {
        DatabaseConfig database = Load("[databases]\napp =").Databases["app"];
        Assert.Equal("app", database.DbName);
        Assert.Equal([new HostAddress("", 5432)], database.Hosts);
        Assert.True(database.Hosts[0].IsUnixSocket);
    }

    [Theory]
    [InlineData("host=a,b,::1", "a:5432 b:5432 [::1]:5432")]
    [InlineData("host=a,b port=1,2", "a:1 b:2")]
    [InlineData("host='a, /run/pg' port=7", "a:7 unix:7")]
    [InlineData("host=a, port=7", "a:7 unix:7")]
    [InlineData("port=7", "unix:7")]
    public void AHostListHasOnePortForAllOrOneForEach(string entry, string hosts) =>
        Assert.Equal(hosts, string.Join(' ', Load($"[databases]\napp = {entry}").Databases["app"].Hosts));

    [Fact]
    public void TheFallbackTakesTheAskedName()
    {
        PoolerConfig config = Load("[databases]\napp = host=a\n* = host=b user=x");
        Assert.Equal(["app"], config.Databases.Keys);
        Assert.Equal("a", config.FindDatabase("app")!.Hosts[0].Name);
        DatabaseConfig other = config.FindDatabase("other")!;
        Assert.Equal(("other", "other", "b", "x"), (other.Name, other.DbName, other.Hosts[0].Name, other.ForcedUser));
        Assert.Null(config.FindDatabase(PoolerConfig.ConsoleDatabase));
        Assert.Equal("fixed", Load("[databases]\n* = dbname=fixed").FindDatabase("other")!.DbName);
        Assert.Null(Load("[databases]\napp =").FindDatabase("other"));
    }

    [Fact]
    public void UsersOfTheConsoleAreExactNames()
    {
        PoolerConfig config = Load("admin_users = root, admin\nstats_users = watcher");
        Assert.True(config.IsAdmin("root"));
        Assert.True(config.IsAdmin("admin"));
        Assert.False(config.IsAdmin("adm"));
        Assert.False(config.IsAdmin(""));
        Assert.True(config.IsStatsUser("watcher"));
        Assert.False(config.IsStatsUser("root"));
    }

    [Fact]
    public void SetMakesAnotherSnapshot()
    {
        PoolerConfig before = Load("admin_users = root\n[databases]\napp =");
        Assert.True(Settings.AdminUsers.TryParse("bob", out object? value, out _));
        PoolerConfig after = before.With(Settings.AdminUsers, value);
        Assert.True(before.IsAdmin("root") && !before.IsAdmin("bob"));
        Assert.True(after.IsAdmin("bob") && !after.IsAdmin("root"));
        Assert.Same(before.Databases, after.Databases);
    }

    [Fact]
    public void ReloadTellsWhatOnlyARestartChanges()
    {
        PoolerConfig running = Load("listen_addr = 127.0.0.1\nlisten_port = 1\ndefault_pool_size = 5");
        Assert.Empty(PoolerConfig.RestartOnlyChanges(running, Load("listen_addr = 127.0.0.1\nlisten_port = 1\ndefault_pool_size = 6")));
        PoolerConfig loaded = Load("listen_addr = *\nlisten_port = 2\ndefault_pool_size = 6");
        Assert.Equal(["listen_addr", "listen_port"], PoolerConfig.RestartOnlyChanges(running, loaded));
        PoolerConfig next = loaded.KeepRestartOnly(running);
        Assert.Equal((1, 6), (next.Get(Settings.ListenPort), next.Get(Settings.DefaultPoolSize)));
        Assert.Equal("127.0.0.1", next.GetText(Settings.ListenAddr));
    }

    [Theory]
    [InlineData("host=a", "host=a", true)]
    [InlineData("host=a", "host=a pool_size=3 password=x", true)]
    [InlineData("host=a", "host=b", false)]
    [InlineData("host=a", "host=a port=1", false)]
    [InlineData("host=a", "host=a dbname=x", false)]
    [InlineData("host=a user=x", "host=a", false)]
    [InlineData("host=a", "host=a connect_query=x", false)]
    public void ReloadKnowsWhichServersToReplace(string before, string after, bool same)
    {
        DatabaseConfig old = Load("[databases]\na = " + before).Databases["a"];
        Assert.Equal(same, old.ReachesSameServer(Load("[databases]\na = " + after).Databases["a"], host: null));
    }

    [Fact]
    public void WorkersAreAutomaticOrAsWritten()
    {
        Assert.InRange(Load("").WorkerCount, 1, 4);
        Assert.Equal(9, Load("workers = 9").WorkerCount);
    }

    [Fact]
    public void SecretsAreNotPrinted()
    {
        PoolerConfig config = Load("");
        Assert.Null(config.GetText(Settings.Password));
        Assert.Equal("********", config.With(Settings.Password, "hush").GetText(Settings.Password));
        Assert.Equal("********", Load("password_command = curl -H secret").GetText(Settings.PasswordCommand));
        Assert.Null(Load("").GetText(Settings.PasswordCommand));
    }

    [Fact]
    public void APasswordBeatsTheEntrysCommandBeatsTheGlobalOne()
    {
        PoolerConfig config = Load("""
            password_command = all
            [databases]
            plain =
            own = password_command='one two'
            known = password=x
            """);
        Assert.Equal(["all", "one two", null], ((string[])["plain", "own", "known"]).Select(name => config.PasswordCommandOf(config.Databases[name])));
        Assert.Equal(["pooler.ini:2: both: password and password_command: give one of them"], folder.LoadWrong("[databases]\nboth = password=x password_command=y"));
    }

    private PoolerConfig Load(string text) => folder.LoadRight("[pgbouncer]\nauth_type = any\n" + text);
}
