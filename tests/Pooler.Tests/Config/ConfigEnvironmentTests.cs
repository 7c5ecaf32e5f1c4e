using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class ConfigEnvironmentTests : IDisposable
{
    private const string Trust = "[pgbouncer]\nauth_type = trust\n";

    private const string NoSuch =
        "no such setting: after POOLER_ comes the name of a [pgbouncer] setting in capitals, DATABASES__x, USERS__x, USERLIST__x or PEERS__n";

    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void TheEnvironmentBeatsTheFile()
    {
        PoolerConfig config = folder.LoadRight(
            Trust + "listen_port = 1\nmax_client_conn = 7\n[databases]\napp = host=a pool_size=9\n[users]\nbob = pool_size=2",
            "POOLER_LISTEN_PORT=2", "POOLER_DATABASES__app=host=b", "POOLER_USERS__bob=pool_mode=statement", "PATH=/bin");
        Assert.Equal(2, config.Get(Settings.ListenPort));
        Assert.Equal(7, config.Get(Settings.MaxClientConn));
        Assert.Equal("b", config.Databases["app"].Hosts[0].Name);
        Assert.Null(config.Databases["app"].PoolSize);
        Assert.Equal(PoolMode.Statement, config.Users["bob"].PoolMode);
        Assert.Empty(config.Warnings);
    }

    [Fact]
    public void TheEnvironmentAloneIsEnough()
    {
        ConfigResult result = ConfigLoader.Load(null,
            TempFolder.Variables("POOLER_AUTH_TYPE=any", "POOLER_DATABASES__*=host=a", "POOLER_ADMIN_USERS=root, admin"));
        Assert.True(result.IsValid);
        Assert.Equal("a", result.Config.AutoDatabase!.Hosts[0].Name);
        Assert.True(result.Config.IsAdmin("admin"));
    }

    [Fact]
    public void AFileHoldsTheValue()
    {
        string entry = folder.Write("entry", "host=a\npassword='top secret'\n");
        string port = folder.Write("port", "77\r\n");
        PoolerConfig config = folder.LoadRight(Trust, "POOLER_DATABASES__app_FILE=" + entry, "POOLER_LISTEN_PORT_FILE=" + port);
        Assert.Equal(("a", "top secret"), (config.Databases["app"].Hosts[0].Name, config.Databases["app"].Password));
        Assert.Equal(77, config.Get(Settings.ListenPort));
    }

    [Fact]
    public void ASettingWhoseNameEndsInFileIsThatSetting()
    {
        string users = folder.Write("users.txt", "\"a\" \"b\"");
        Assert.Equal("b", folder.LoadRight("", "POOLER_AUTH_FILE=" + users).Secrets["a"]);
        string name = folder.Write("name", users);
        Assert.Equal("b", folder.LoadRight("", "POOLER_AUTH_FILE_FILE=" + name).Secrets["a"]);
    }

    [Fact]
    public void UsersAndSecretsBeatThoseOfTheFile()
    {
        string users = folder.Write("users.txt", "\"a\" \"old\"\n\"b\" \"kept\"");
        string secret = folder.Write("secret", " with blanks \n");
        PoolerConfig config = folder.LoadRight("", "POOLER_AUTH_FILE=" + users, "POOLER_USERLIST__a=new", "POOLER_USERLIST__c_FILE=" + secret);
        Assert.Equal(("new", "kept", " with blanks "), (config.Secrets["a"], config.Secrets["b"], config.Secrets["c"]));
        Assert.Empty(folder.LoadRight("", "POOLER_USERLIST__a=x").Warnings);
        Assert.Contains(folder.LoadRight("").Warnings, static warning => warning.Contains("nobody can log in", StringComparison.Ordinal));
        string error = Assert.Single(folder.LoadWrong(Trust, "POOLER_USERLIST__a=" + new string('x', Userlist.LongestSecret + 1)));
        Assert.Equal("environment variable POOLER_USERLIST__a: the secret of \"a\" is longer than 65530 bytes", error);
    }

    [Fact]
    public void AnEntryMayBeAUrl()
    {
        PoolerConfig config = folder.LoadRight(Trust, "POOLER_DATABASES__app=postgres://me:p%40ss@db1:5433,db2/shop?pool_size=7", "POOLER_USERS__me=pool_size=3");
        DatabaseConfig app = config.Databases["app"];
        Assert.Equal(("me", "p@ss", "shop", 7), (app.ForcedUser, app.Password, app.DbName, app.PoolSize));
        Assert.Equal([("db1", 5433), ("db2", 5432)], app.Hosts.Select(static host => (host.Name, host.Port)));
        string error = Assert.Single(folder.LoadWrong(Trust, "POOLER_DATABASES__app=postgresql://db1/shop?sslmode=require"));
        Assert.Contains("set server_tls_sslmode", error, StringComparison.Ordinal);
    }

    [Fact]
    public void ErrorsNameTheVariable()
    {
        string[] errors = folder.LoadWrong(Trust, "POOLER_DATABASES__a_FILE=no/such", "POOLER_DATABASES__b=hots=1", "POOLER_POOL_MODE=x",
            "POOLER_AUTH_FILE=no/users", "POOLER_listen_port=1", "POOLER_QUUX_FROBNICATE=1", "POOLER_PORT=6432", "POOLER_DATABASES__=x");
        Assert.Equal(
        [
            "environment variable POOLER_DATABASES__: " + NoSuch,
            "environment variable POOLER_DATABASES__a_FILE: could not read \"no/such\": there is no such file",
            "environment variable POOLER_PORT: " + NoSuch,
            "environment variable POOLER_QUUX_FROBNICATE: " + NoSuch,
            "environment variable POOLER_listen_port: no such setting: did you mean POOLER_LISTEN_PORT?",
            "environment variable POOLER_DATABASES__b: b: unknown setting \"hots\" in [databases]: did you mean host?",
            "environment variable POOLER_POOL_MODE: pool_mode = \"x\" is not valid: one of session, transaction, statement",
            "environment variable POOLER_AUTH_FILE: auth_file: could not read \"no/users\": there is no such file",
        ], errors);
    }

    [Fact]
    public void VariablesOfOthersAreLeftAlone() => folder.LoadRight(Trust,
        "POOLER_BINARY=x", "POOLER_TEST_PG=x", "POOLER_SERVICE_HOST=10.0.0.1", "POOLER_SERVICE_PORT=6432",
        "POOLER_SERVICE_PORT_PGSQL=6432", "POOLER_PORT=tcp://10.0.0.1:6432",
        "POOLER_PORT_6432_TCP=tcp://10.0.0.1:6432", "POOLERS=1");
}
