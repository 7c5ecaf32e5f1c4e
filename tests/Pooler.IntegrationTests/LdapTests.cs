using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>auth_type = ldap and the method ldap of auth_hba_file, against a real slapd and against servers that hang.</summary>
public sealed class LdapTests(PostgresCluster postgres)
{
    private const string User = PostgresCluster.ScramUser, Password = PostgresCluster.ScramPassword, Failed = "28000 LDAP authentication failed";

    /// <summary>It has proved who it is, and the console is not for it: nobody has to exist on the server for that.</summary>
    private const string Proved = "08P01 not allowed";

    private const string Binding = $"ldapbinddn=\"{Slapd.Reader}\" ldapbindpasswd=\"reader's \"\"own\"\", secret\"";
    private const string Search = $"ldapbasedn=\"dc=example,dc=net\" {Binding}";
    private const string ByName = $"ldapprefix=\"uid=\" ldapsuffix=\",{Slapd.People}\"";

    /// <summary>Who is known to nobody but the directory gets in, and his servers are logged in to with the password he has shown.</summary>
    [Fact]
    public async Task SearchAndBind()
    {
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", (User, Password), ("carol", "carol's"));
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await PoolerProcess.StartAsync(postgres, database, adjust: ini =>
        {
            ini.Passwords.Remove(User);
            ini.Settings["auth_type"] = "ldap";
            ini.Settings["auth_ldap_options"] = $"ldapurl=\"ldap://127.0.0.1:{slapd.Port}/dc=example,dc=net?uid?sub\" {Binding}";
        });
        Assert.Equal("", await LoginAsync(pooler, database, User, Password));
        Assert.Equal("", await LoginAsync(pooler, database, User, Password, pooler.Folder));
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, "wrong"));
        Assert.Equal(Failed, await LoginAsync(pooler, database, "stranger", Password));
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, "carol's"));
        Assert.Equal(Proved, await LoginAsync(pooler, "pgbouncer", "carol", "carol's"));
        await pooler.SeesInLogAsync("LDAP authentication failed: ldap://127.0.0.1:");
        Assert.Contains("Invalid credentials", pooler.Log, StringComparison.Ordinal);
        Assert.Contains("the search has found nobody", pooler.Log, StringComparison.Ordinal);
        Assert.DoesNotContain(Password, pooler.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("reader's", pooler.Log, StringComparison.Ordinal);
    }

    /// <summary>An LDAP server takes a bind without a password for one of nobody in particular, and says yes.</summary>
    [Theory]
    [InlineData(Search)]
    [InlineData(ByName)]
    public async Task AnEmptyPasswordIsRefused(string options)
    {
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", (User, Password));
        await using PoolerProcess pooler = await StartAsync(slapd.Port, options);
        Assert.Equal(Proved, await LoginAsync(pooler, "pgbouncer", User, Password));
        Assert.Equal(Failed, await SayAsync(pooler, User, "\0"));
        Assert.Equal(Failed, await SayAsync(pooler, User, ""));
        Assert.Equal(Failed, await SayAsync(pooler, User, "\0" + Password + "\0"));
    }

    /// <summary>What a client calls itself is a value: no filter and no name is made of it.</summary>
    [Theory]
    [InlineData(Search)]
    [InlineData("ldapbasedn=\"dc=example,dc=net\" ldapsearchfilter=\"(&(objectClass=inetOrgPerson)(uid=$username))\" " + Binding)]
    [InlineData(ByName)]
    public async Task NamesAreOnlyValues(string options)
    {
        (string, string)[] people = [("alice", "alice's"), ("a,b+c", "comma's"), ("d(e)*", "star's"), ("f\\g", "slash's")];
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", people);
        await using PoolerProcess pooler = await StartAsync(slapd.Port, options);
        foreach ((string name, string password) in people)
            Assert.Equal(Proved, await LoginAsync(pooler, "pgbouncer", name, password));
        foreach (string name in (string[])["*", "al*", "ali*e", "alice)(uid=*", "*)(objectClass=*", "alice)(|(uid=*", "a\\6cice", "\\61lice", "d(e)\\2a", $"alice,{Slapd.People}"])
            Assert.Equal(Failed, await LoginAsync(pooler, "pgbouncer", name, name[0] == 'd' ? "star's" : "alice's"));
    }

    /// <summary>A name that would be another's within the name it becomes a part of.</summary>
    [Fact]
    public async Task ANameIsNoPartOfADn()
    {
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", ("alice", "alice's"));
        await using PoolerProcess pooler = await StartAsync(slapd.Port, "ldapprefix=\"uid=\" ldapsuffix=\",dc=example,dc=net\"");
        Assert.Equal(Failed, await LoginAsync(pooler, "pgbouncer", "alice,ou=people", "alice's"));
    }

    /// <summary>Two with the same name: neither.</summary>
    [Fact]
    public async Task WhoIsNotTheOnlyOneIsNobody()
    {
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", ("alice", "alice's"), ("bob", "bob's"), ("carol", "carol's"));
        await using PoolerProcess pooler = await StartAsync(slapd.Port, "ldapbasedn=\"dc=example,dc=net\" ldapsearchfilter=\"(|(uid=$username)(cn=one of us))\" " + Binding);
        Assert.Equal(Failed, await LoginAsync(pooler, "pgbouncer", "alice", "alice's"));
        await pooler.SeesInLogAsync("the search has found several");
    }

    /// <summary>The servers of a list are asked in order, up to the first that has an answer.</summary>
    [Fact]
    public async Task TheNextServerIsAskedWhenOneIsDown()
    {
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", (User, Password));
        using var silent = new TcpListener(IPAddress.Parse("127.0.0.2"), slapd.Port);
        silent.Start();
        await using PoolerProcess pooler = await StartAsync(slapd.Port, ByName, "127.0.0.3 127.0.0.2 127.0.0.1", static ini => ini.Settings["ldap_timeout"] = "0.5");
        Assert.Equal(Proved, await LoginAsync(pooler, "pgbouncer", User, Password));
        Assert.Equal(Failed, await LoginAsync(pooler, "pgbouncer", User, "wrong"));
        await pooler.SeesInLogAsync("ldap://127.0.0.3:");
        Assert.Contains("Connection refused; ldap://127.0.0.2", pooler.Log, StringComparison.Ordinal);
        Assert.Contains("no answer within ldap_timeout; ldap://127.0.0.1", pooler.Log, StringComparison.Ordinal);
    }

    /// <summary>A name that stands for nothing is a server that is down; of one that stands for several addresses each is tried.</summary>
    [Fact]
    public async Task ServersMayHaveNames()
    {
        await using Slapd slapd = await Slapd.StartAsync("DNS:directory", (User, Password));
        using NameService names = await NameService.CreateAsync();
        names.Forget("gone");
        names.Set("directory", "127.0.0.3", "127.0.0.1");
        PoolerIni ini = IniOf(slapd.TlsPort, "ldapscheme=ldaps " + ByName, "gone directory");
        await using PoolerProcess pooler = await names.StartAsync(ini, $"LDAPTLS_CACERT={slapd.Authority}");
        Assert.Equal(Proved, await LoginAsync(pooler, "pgbouncer", User, Password));
        Assert.Equal(Failed, await LoginAsync(pooler, "pgbouncer", User, "wrong"));
        await pooler.SeesInLogAsync("LDAP authentication failed: ldaps://gone:");
    }

    [Theory]
    [InlineData("ldapscheme=ldaps", true)]
    [InlineData("ldaptls=1", false)]
    public async Task TlsIsVerified(string tls, bool isLdaps)
    {
        await using Slapd slapd = await Slapd.StartAsync("IP:127.0.0.1", (User, Password));
        int port = isLdaps ? slapd.TlsPort : slapd.Port;
        await using (PoolerProcess knows = await StartAsync(port, $"{tls} {ByName}", launcher: ["env", $"LDAPTLS_CACERT={slapd.Authority}"]))
        {
            Assert.Equal(Proved, await LoginAsync(knows, "pgbouncer", User, Password));
            Assert.Equal(Failed, await LoginAsync(knows, "pgbouncer", User, "wrong"));
        }

        // An authority that is not known, although the environment says not to care.
        await using PoolerProcess strange = await StartAsync(port, $"{tls} {ByName}", launcher: ["env", "LDAPTLS_REQCERT=never"]);
        Assert.Equal(Failed, await LoginAsync(strange, "pgbouncer", User, Password));
        await strange.SeesInLogAsync("its certificate must be for this name");
    }

    [Theory]
    [InlineData("ldapscheme=ldaps", true)]
    [InlineData("ldaptls=1", false)]
    public async Task ACertificateOfAnotherNameIsRefused(string tls, bool isLdaps)
    {
        await using Slapd slapd = await Slapd.StartAsync("DNS:ldap.example.net", (User, Password));
        await using PoolerProcess pooler = await StartAsync(isLdaps ? slapd.TlsPort : slapd.Port, $"{tls} {ByName}",
            launcher: ["env", $"LDAPTLS_CACERT={slapd.Authority}", "LDAPTLS_REQCERT=allow"]);
        Assert.Equal(Failed, await LoginAsync(pooler, "pgbouncer", User, Password));
        await pooler.SeesInLogAsync("its certificate must be for this name");
    }

    /// <summary>A server that says nothing, or half of an answer, holds a login for ldap_timeout.</summary>
    [Theory]
    [InlineData("", "")]
    [InlineData("", "30 0c 02")]
    [InlineData("ldaptls=1 ", "")]
    [InlineData("ldapscheme=ldaps ", "")]
    [InlineData("ldapscheme=ldaps ", "16 03 03")]
    public async Task AServerThatHangsIsGivenUp(string tls, string says)
    {
        using var hanging = new TcpListener(IPAddress.Loopback, 0);
        hanging.Start();
        await using PoolerProcess pooler = await StartAsync(((IPEndPoint)hanging.LocalEndpoint).Port, tls + ByName, adjust: static ini => ini.Settings["ldap_timeout"] = "0.5");
        Task<string> login = LoginAsync(pooler, "pgbouncer", User, Password);
        using Socket server = await hanging.AcceptSocketAsync();
        await server.SendAsync(Convert.FromHexString(says.Replace(" ", "", StringComparison.Ordinal)));
        Assert.Equal(Failed, await login);
    }

    /// <summary>More logins than may be checked at once wait for a server that is dead: others log in meanwhile, and time is kept for each.</summary>
    [Fact]
    public async Task ADeadServerHoldsNobodyElse()
    {
        using var dead = new TcpListener(IPAddress.Loopback, 0);
        dead.Start(1000);
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(((IPEndPoint)dead.LocalEndpoint).Port, ByName, adjust: ini =>
        {
            ini.Databases[database] = $"host=127.0.0.1 port={postgres.Port} dbname={database}";
            ini.Files["hba"] = $"host {database} all all scram-sha-256\n{ini.Files["hba"]}";
            ini.Settings["ldap_timeout"] = "600";
            ini.Settings["client_login_timeout"] = "10";
        });
        List<PgWire> waiting = [];
        for (int i = 0; i < 60; i++)
        {
            PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
            waiting.Add(wire);
            await wire.SendAsync(PgRequest.Startup(PgRequest.Protocol30, [("user", "u"), ("database", "pgbouncer")]));
            Assert.Equal('R', (await wire.ReadAsync())!.Value.Type);
            await wire.SendAsync(PasswordMessage("x\0"));
        }

        Assert.Equal("", await LoginAsync(pooler, database, User, Password));
        Assert.True(pooler.ThreadCount < 40, $"{pooler.ThreadCount} threads");
        foreach (PgWire wire in waiting)
        {
            Assert.Equal("client_login_timeout", (await wire.ReadAsync())!.Value.Fields()['M']);
            wire.Dispose();
        }
    }

    private static Task<PoolerProcess> StartAsync(
        int port, string options, string servers = "127.0.0.1", Action<PoolerIni>? adjust = null, IReadOnlyList<string>? launcher = null)
    {
        PoolerIni ini = IniOf(port, options, servers);
        adjust?.Invoke(ini);
        return PoolerProcess.StartAsync(ini, launcher);
    }

    private static PoolerIni IniOf(int port, string options, string servers)
    {
        var ini = new PoolerIni();
        ini.Settings["auth_type"] = "hba";
        ini.Settings["auth_hba_file"] = "hba";
        ini.Files["hba"] = $"host all all all ldap ldapserver=\"{servers}\" ldapport={port} {options}\n";
        return ini;
    }

    /// <summary>The end of a login whose password message has this body.</summary>
    private static async Task<string> SayAsync(PoolerProcess pooler, string user, string body)
    {
        using PgWire wire = await PgWire.ConnectAsync(pooler.EndPoint);
        await wire.SendAsync(PgRequest.Startup(PgRequest.Protocol30, [("user", user), ("database", "pgbouncer")]));
        Assert.Equal('R', (await wire.ReadAsync())!.Value.Type);
        await wire.SendAsync(PasswordMessage(body));
        PgMessage last = Assert.Single(await wire.ReadToEndAsync());
        return $"{last.SqlState} {last.Fields()['M']}";
    }

    private static byte[] PasswordMessage(string body) => [(byte)'p', 0, 0, 0, (byte)(4 + body.Length), .. System.Text.Encoding.ASCII.GetBytes(body)];

    /// <summary>Empty when it got in, else SQLSTATE and text.</summary>
    private static async Task<string> LoginAsync(PoolerProcess pooler, string database, string user, string password, string? host = null)
    {
        var text = new NpgsqlConnectionStringBuilder(pooler.NpgsqlString(database, host: host)) { Username = user, Password = password, SslMode = SslMode.Disable };
        try
        {
            await using var connection = new NpgsqlConnection(text + ";Server Compatibility Mode=NoTypeLoading");
            await connection.OpenAsync();
            return "";
        }
        catch (PostgresException e)
        {
            return $"{e.SqlState} {e.MessageText}";
        }
    }
}
