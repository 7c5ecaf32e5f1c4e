using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

public sealed class ConfigLoaderTests : IDisposable
{
    private const string Trust = "[pgbouncer]\nauth_type = trust\n";

    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void WithoutFileEverythingButADatabaseHasADefault()
    {
        Assert.Contains("there is no database", Assert.Single(ConfigLoader.Load(null, TempFolder.Variables()).Errors).ToString());
        ConfigResult result = ConfigLoader.Load(null, TempFolder.Variables("POOLER_DATABASES__app=host=127.0.0.1"));
        Assert.True(result.IsValid);
        Assert.All(Settings.All.Where(static setting => !setting.IsSecret),
            setting => Assert.Equal(setting.Format(setting.DefaultValue), result.Config.GetText(setting)));
        Assert.Equal("", result.Config.FilePath);
        Assert.Equal("app", Assert.Single(result.Config.Databases).Key);
        Assert.Null(result.Config.AutoDatabase);
    }

    [Fact]
    public void TheFileIsRememberedAsConffile()
    {
        PoolerConfig config = folder.LoadRight(Trust);
        Assert.Equal(folder.Path("pooler.ini"), config.FilePath);
        Assert.Equal(folder.Path("pooler.ini"), config.GetText(Settings.ConfFile));
        Assert.Equal("other.ini", folder.LoadRight(Trust + "conffile = other.ini").GetText(Settings.ConfFile));
    }

    [Fact]
    public void AllErrorsAreToldWithTheirLines()
    {
        string[] errors = folder.LoadWrong("""
            [pgbouncer]
            pool_mode = transactional
            pool_mod = session
            pool_size = 5
            auth_type = certificate
            [databases]
            pgbouncer = host=a
            app = host=a,b port=1,2,3
            shop = hots=a port=0
            broken = host
            [users]
            bob = pool_mode=never min_pool_size=1
            """, "POOLER_LISTEN_PROT=1");
        Assert.Equal(
        [
            "environment variable POOLER_LISTEN_PROT: no such setting: did you mean POOLER_LISTEN_PORT?",
            "pooler.ini:2: pool_mode = \"transactional\" is not valid: one of session, transaction, statement",
            "pooler.ini:3: unknown setting \"pool_mod\" in [pgbouncer]: did you mean pool_mode?",
            "pooler.ini:4: \"pool_size\" does not belong in [pgbouncer] but in [databases]",
            "pooler.ini:5: auth_type = \"certificate\" is not valid: one of any, trust, plain, md5, scram-sha-256, cert, hba, ldap, pam, oauth",
            "pooler.ini:7: database name \"pgbouncer\" is reserved for the console: choose another one",
            "pooler.ini:8: app: port has 3 items and host 2: give one port for all hosts, or one for each",
            "pooler.ini:9: shop: unknown setting \"hots\" in [databases]: did you mean host?",
            "pooler.ini:9: shop: port = \"0\" is not valid: a port from 1 to 65535 for all hosts, or one for each, separated by commas",
            "pooler.ini:10: broken: expected key=value pairs separated by blanks, values with blanks in single quotes",
            "pooler.ini:12: bob: pool_mode = \"never\" is not valid: one of session, transaction, statement",
            "pooler.ini:12: bob: \"min_pool_size\" does not belong in [users] but in [pgbouncer]",
        ], errors);
    }

    [Fact]
    public void WhatIsSaidOfHostsFitsThem()
    {
        string[] errors = folder.LoadWrong($"""
            [pgbouncer]
            weight = 1,2,3
            [databases]
            a = host=a,b zone=x,y,z
            b = host=a,b weight=1,1001
            c = host=a,b routing=primary target_session_attrs=standby
            d = host=a,b routing=primary
            e = host={string.Join(',', Enumerable.Repeat("a", 65))} routing=primary weight=1
            f = host=a,b
            g = host=a,b dbname=g routing=primary weight=1
            h = host=b,a dbname=g routing=replica weight=1 share_pools=g
            i = host=b,a dbname=g weight=1 share_pools=g
            j = host=b,a dbname=g weight=1 routing=replica share_pools=h
            k = host=b,a dbname=g weight=1 routing=multi_primary share_pools=g
            """);
        Assert.Equal(
        [
            "pooler.ini:4: a: zone has 3 items and host 2: give one zone for all hosts, or one for each",
            "pooler.ini:5: b: weight = \"1,1001\" is not valid: a weight from 0 to 1000 for all hosts, or one for each, separated by commas",
            "pooler.ini:6: c: target_session_attrs is another word for routing: give one of them",
            "pooler.ini:7: d: weight of [pgbouncer] has 3 items and host 2: give the entry a weight of its own",
            "pooler.ini:8: e: 65 hosts: with routing there are at most 64",
            "pooler.ini:12: i: share_pools = \"g\": both entries need routing, the same host, port, dbname and user, and g no share_pools",
            "pooler.ini:13: j: share_pools = \"h\": both entries need routing, the same host, port, dbname and user, and h no share_pools",
            "pooler.ini:14: k: share_pools = \"g\": with routing = multi_primary subscribers are written to, and only another such entry can share their servers",
        ], errors);
    }

    [Fact]
    public void AnUnknownNameWithoutNeighbourPointsToThePage() =>
        Assert.Equal(["pooler.ini:2: unknown setting \"quux_frobnicate\" in [pgbouncer]: the names are in docs/settings.md"],
            folder.LoadWrong("[pgbouncer]\nquux_frobnicate = 1"));

    [Fact]
    public void AMissingFileIsAnError()
    {
        ConfigResult result = ConfigLoader.Load(folder.Path("none.ini"), TempFolder.Variables());
        Assert.False(result.IsValid);
        Assert.Equal("none.ini: could not read \"none.ini\": there is no such file",
            folder.Shorten(Assert.Single(result.Errors).ToString()));
    }

    [Fact]
    public void LongNamesAreRefused()
    {
        string name = new('x', 64);
        Assert.Contains("at most 63 bytes", Assert.Single(folder.LoadWrong($"[databases]\n{name} =")), StringComparison.Ordinal);
        Assert.Contains("at most 127 bytes", Assert.Single(folder.LoadWrong($"[users]\n{name}{name} =")), StringComparison.Ordinal);
    }

    [Fact]
    public void LaterSettingsWarnOnceByName()
    {
        PoolerConfig config = folder.LoadRight(Trust + """
            resolv_conf = x.conf
            dns_zone_check_period = 3
            pkt_buf = 4096
            service_name = pgbouncer
            [databases]
            a = load_balance_hosts=disable
            b = load_balance_hosts=disable
            """);
        Assert.Equal(
        [
            "pooler.ini:3: resolv_conf is accepted but has no meaning here",
            "pooler.ini:4: dns_zone_check_period is accepted but has no meaning here",
            "pooler.ini:5: pkt_buf is accepted but has no meaning here",
            "pooler.ini:6: service_name is accepted but has no meaning here",
        ], config.Warnings.Select(folder.Shorten));
        Assert.Equal("x.conf", config.GetText(Settings.ResolvConf));
    }

    [Fact]
    public void PeersHaveNumbersAndHosts()
    {
        PoolerConfig config = folder.LoadRight(Trust + """
            peer_id = 2
            default_pool_size = 7
            [peers]
            16383 = host=10.0.0.1 port=6433 pool_size=3
            1 = host=/run/pooler1
            2 = host=me
            """);
        Assert.Empty(config.Warnings);
        Assert.Equal([new(1, new("/run/pooler1", 6432), null), new(2, new("me", 6432), null), new(16383, new("10.0.0.1", 6433), 3)], config.Peers.Values);
        Assert.Equal("[peers] has no effect without peer_id: cancel requests are not passed on", Assert.Single(folder.LoadRight(Trust + "[peers]\n1 = host=x").Warnings));
    }

    [Theory]
    [InlineData("0 = host=x", "is no number of a peer: the names in [peers] are peer_id's, 1 to 16383")]
    [InlineData("16384 = host=x", "is no number of a peer")]
    [InlineData("one = host=x", "is no number of a peer")]
    [InlineData("1 = port=5", "1: host is missing")]
    [InlineData("1 =", "1: host is missing")]
    [InlineData("1 = host=x dbname=y", "\"dbname\" does not belong in [peers] but in [databases]")]
    [InlineData("1 = host=x port=0", "port = \"0\" is not valid")]
    public void APeerThatIsWrongIsRefused(string line, string problem) =>
        Assert.Contains(problem, Assert.Single(folder.LoadWrong(Trust + "[peers]\n" + line)), StringComparison.Ordinal);

    [Fact]
    public void ARepeatedNameWarnsAndTheLastOneCounts()
    {
        PoolerConfig config = folder.LoadRight(Trust + "listen_port = 1\nlisten_port = 2\n");
        Assert.Equal(2, config.Get(Settings.ListenPort));
        Assert.EndsWith("pooler.ini:3; this one counts", Assert.Single(config.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void SecretsComeFromTheAuthFile()
    {
        string users = folder.Write("users.txt", "\"alice\" \"secret\"\n# broken\n");
        PoolerConfig config = folder.LoadRight($"[pgbouncer]\nauth_file = {users}\n");
        Assert.Equal("secret", config.Secrets["alice"]);
        Assert.Contains("broken auth file at line 2", Assert.Single(config.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void AMissingAuthFileIsAnErrorWhereItIsNamed() =>
        Assert.Equal(["pooler.ini:2: auth_file: could not read \"no/users.txt\": there is no such file"],
            folder.LoadWrong("[pgbouncer]\nauth_file = no/users.txt\n"));

    [Theory]
    [InlineData("any", 0)]
    [InlineData("trust", 0)]
    [InlineData("md5", 1)]
    [InlineData("scram-sha-256", 1)]
    public void PasswordsWithoutAnAuthFileWarn(string type, int warnings) =>
        Assert.Equal(warnings, folder.LoadRight($"[pgbouncer]\nauth_type = {type}\n").Warnings.Length);

    [Fact]
    public void NoMessageHoldsAPassword()
    {
        string[] errors = folder.LoadWrong("[databases]\na = password='hidden'x\nb = password='hidden' user= port=q\nc = hidden");
        Assert.All(errors, static error => Assert.DoesNotContain("hidden", error, StringComparison.Ordinal));
        DatabaseConfig database = folder.LoadRight("[databases]\na = password=hidden").Databases["a"];
        Assert.Equal("hidden", database.Password);
        Assert.Equal("a", database.ToString());
    }

    [Fact]
    public void TheSampleLoads()
    {
        ConfigResult result = ConfigLoader.Load(Repository.Path("config", "pooler.ini"),
            TempFolder.Variables("POOLER_AUTH_FILE=" + Repository.Path("config", "userlist.txt")));
        Assert.Empty(result.Errors);
        Assert.Empty(result.Config!.Warnings);
        Assert.NotEmpty(result.Config.Secrets);
        Assert.NotEmpty(result.Config.Databases);
    }
}
