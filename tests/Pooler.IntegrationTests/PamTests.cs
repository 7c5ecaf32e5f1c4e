using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>auth_type = pam and the method pam of auth_hba_file, by services of the tests' own.</summary>
public sealed class PamTests(PostgresCluster postgres)
{
    private const string User = PostgresCluster.ScramUser, Password = PostgresCluster.ScramPassword, Failed = "28000 PAM authentication failed";

    private const string Right = $"[ \"$PAM_USER\" = \"{User}\" ] && [ \"$password\" = \"{Password}\" ]";

    /// <summary>Who is known to nobody but PAM gets in, and his servers are logged in to with the password he has shown.</summary>
    [Fact]
    public async Task PamSaysWhoGetsIn()
    {
        OrdinaryUser.NeedsRoot();
        using var service = new PamServiceFile(Right);
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, ini =>
        {
            ini.Settings["auth_type"] = "pam";
            ini.Settings["pam_service"] = service.Name;
        });
        Assert.Equal("", await LoginAsync(pooler, database, User, Password));
        Assert.Equal([$"{service.Name} {User} 127.0.0.1 auth", $"{service.Name} {User} 127.0.0.1 account"], service.Told.Select(static line => line.Trim()));
        Assert.Equal("", await LoginAsync(pooler, database, User, Password, pooler.Folder));
        Assert.Equal($"{service.Name} {User} [local] auth", service.Told[2]);

        Assert.Equal(Failed, await LoginAsync(pooler, database, User, "wrong"));
        Assert.Equal(Failed, await LoginAsync(pooler, database, "stranger", Password));
        await pooler.SeesInLogAsync("PAM authentication failed: pam_authenticate: ");
        Assert.DoesNotContain(Password, pooler.Log, StringComparison.Ordinal);
    }

    /// <summary>The password alone is not enough.</summary>
    [Fact]
    public async Task AnAccountThatMayNotBeUsedIsRefused()
    {
        OrdinaryUser.NeedsRoot();
        using var service = new PamServiceFile(Right, "false");
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, ini =>
        {
            ini.Settings["auth_type"] = "hba";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Files["hba"] = $"host all all all pam pamservice={service.Name}\nlocal all all pam pamservice=pooler-test-nowhere";
        });
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, Password));
        Assert.Contains(service.Told, static line => line.EndsWith(" account", StringComparison.Ordinal));
        await pooler.SeesInLogAsync("PAM authentication failed: pam_acct_mgmt: ");

        // A service without a file is PAM's "other", which is for nobody.
        Assert.Equal(Failed, await LoginAsync(pooler, database, User, Password, pooler.Folder));
    }

    /// <summary>Modules that hang hold their own logins only, and these no longer than client_login_timeout.</summary>
    [Fact]
    public async Task AModuleThatHangsHoldsNobodyElse()
    {
        OrdinaryUser.NeedsRoot();
        using var service = new PamServiceFile("while [ ! -e ${0%/*}/go ]; do sleep 0.05; done");
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await StartAsync(database, ini =>
        {
            ini.Passwords[User] = Password;
            ini.Settings["client_login_timeout"] = "3";
            ini.Settings["auth_type"] = "hba";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Files["hba"] = $"host {database} all all scram-sha-256\nhost all all all pam pamservice={service.Name}";
        });
        Task<string>[] hanging = [.. Enumerable.Range(0, 40).Select(_ => LoginAsync(pooler, "pgbouncer", User, Password))];
        await Eventually.BecomesAsync("as many are asked for as may be", () => Task.FromResult(service.Told.Length), static told => told == 16);
        Assert.Equal("", await LoginAsync(pooler, database, User, Password));
        Assert.All(await Task.WhenAll(hanging), static end => Assert.Equal("08P01 client_login_timeout", end));
        Assert.Equal(16, service.Told.Length);

        // Their clients have gone: nothing of those that waited is asked any more.
        await File.WriteAllTextAsync(Path.Combine(service.Folder, "go"), "");
        using PgWire last = await PgWire.ConnectAsync(pooler.EndPoint);
        await last.SendAsync(PgRequest.Startup(PgRequest.Protocol30, [("user", "last"), ("database", "pgbouncer")]));
        Assert.Equal('R', (await last.ReadAsync())!.Value.Type);
        await last.SendAsync((byte[])[(byte)'p', 0, 0, 0, 6, (byte)'x', 0]);
        Assert.Equal("not allowed", (await last.ReadAsync())!.Value.Fields()['M']);
        string[] asked = [.. service.Told.Where(static line => line.EndsWith(" auth", StringComparison.Ordinal))];
        Assert.Equal((17, 1), (asked.Length, asked.Count(static line => line.Contains(" last ", StringComparison.Ordinal))));
    }

    private Task<PoolerProcess> StartAsync(string database, Action<PoolerIni> adjust) => PoolerProcess.StartAsync(postgres, database, adjust: ini =>
    {
        ini.Passwords.Remove(User);
        adjust(ini);
    });

    /// <summary>Empty when it got in, else SQLSTATE and text.</summary>
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
            return $"{e.SqlState} {e.MessageText}";
        }
    }
}
