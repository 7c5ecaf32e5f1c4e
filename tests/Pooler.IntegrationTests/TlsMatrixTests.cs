using Npgsql;

namespace Pooler.IntegrationTests;

/// <summary>libpq and Npgsql with every sslmode, channel_binding and sslnegotiation: what can work works, with TLS where it can, and nothing else does.</summary>
public sealed class TlsMatrixTests(PostgresCluster postgres)
{
    private const string User = PostgresCluster.ScramUser, Password = PostgresCluster.ScramPassword;

    private static readonly string[] Modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    private static readonly string[] Bindings = ["disable", "prefer", "require"];
    private static readonly string[] Negotiations = ["postgres", "direct"];

    /// <summary>psql on libpq 18, which knows sslnegotiation.</summary>
    [Theory]
    [InlineData("disable")]
    [InlineData("allow")]
    [InlineData("require")]
    public Task Libpq(string mode)
    {
        string? programs = PostgresVersions.ProgramsOf(18);
        Assert.SkipWhen(programs is null, "libpq 18 is not there: scripts/postgres.sh 18 fetches it from npm's registry");
        string library = Path.Combine(Path.GetDirectoryName(programs)!, "lib");
        return AssertAsync(mode, staysPlain: true, async (pooler, made, database, sslmode, binding, negotiation) =>
        {
            CommandLine.Result answer = await CommandLine.RunAsync("env",
            [
                $"LD_LIBRARY_PATH={library}", Path.Combine(PostgresCluster.Programs, "psql"), "-X", "-A", "-t", "-c", "SELECT 'in'", "-d",
                $"host=localhost hostaddr=127.0.0.1 port={pooler.Port} dbname={database} user={User} password='{Password}' sslmode={sslmode} channel_binding={binding} sslnegotiation={negotiation} sslrootcert={made.Authority}",
            ]);
            return answer.Output == "in" ? "" : answer.Error;
        });
    }

    [Theory]
    [InlineData("disable")]
    [InlineData("allow")]
    [InlineData("require")]
    public Task Npgsql(string mode) => AssertAsync(mode, staysPlain: false, static async (pooler, made, database, sslmode, binding, negotiation) =>
    {
        try
        {
            await using var connection = new NpgsqlConnection(
                $"{pooler.NpgsqlString(database, User, Password, "localhost")};Server Compatibility Mode=NoTypeLoading;SSL Mode={sslmode.Replace("-", "", StringComparison.Ordinal)};"
                + $"Channel Binding={binding};SSL Negotiation={negotiation}" + (sslmode.StartsWith("verify", StringComparison.Ordinal) ? $";Root Certificate={made.Authority}" : ""));
            await connection.OpenAsync();
            return (string?)await new NpgsqlCommand("SELECT 'in'", connection).ExecuteScalarAsync() == "in" ? "" : "no answer";
        }
        catch (Exception fault) when (fault is NpgsqlException or ArgumentException)
        {
            return fault.Message;
        }
    });

    /// <param name="staysPlain">With sslmode=allow: without TLS if the server takes that, even where it cannot be bound to anything. Npgsql tries once more.</param>
    private async Task AssertAsync(string mode, bool staysPlain, Func<PoolerProcess, Certificates, string, string, string, string, Task<string>> tryAsync)
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database, ini =>
        {
            ini.Settings["auth_type"] = "scram-sha-256";
            ini.Settings["client_tls_sslmode"] = mode;
        });
        var wrong = new List<string>();
        foreach (string sslmode in Modes)
        {
            foreach (string binding in Bindings)
            {
                foreach (string negotiation in Negotiations)
                {
                    bool mayBeTls = mode != "disable" && sslmode != "disable", mustBeTls = Array.IndexOf(Modes, sslmode) >= 3;
                    bool isTls = mayBeTls && (sslmode != "allow" || mode == "require" || !staysPlain);
                    bool works = (isTls || (!mustBeTls && mode != "require")) // They find to each other,
                        && (isTls || binding != "require") // there is something to bind to,
                        && (negotiation != "direct" || mustBeTls); // and the driver's own rule: direct only where TLS is a must.
                    string said = await tryAsync(pooler, made, database, sslmode, binding, negotiation);
                    if (works != (said.Length == 0))
                        wrong.Add($"sslmode={sslmode} channel_binding={binding} sslnegotiation={negotiation}: {(works ? said : "let in")}");
                }
            }
        }

        Assert.Empty(wrong);
    }
}
