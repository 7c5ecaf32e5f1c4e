namespace Pooler.IntegrationTests;

/// <summary>TLS certificates as proof of who a client is.</summary>
public sealed class ClientCertificateTests(PostgresCluster postgres)
{
    private const string User = PostgresCluster.ScramUser, Password = PostgresCluster.ScramPassword;
    private const string Failed = "certificate authentication failed", Untrusted = "client certificate is not trusted", Rejected = "login rejected";

    /// <summary>auth_type = cert: the common name is the user, and one of our authorities has signed it.</summary>
    [Theory]
    [InlineData($"/CN={User}", 2, true, "")]
    [InlineData("/CN=somebody", 2, true, Failed)]
    [InlineData($"/O={User}", 2, true, Failed)]
    [InlineData($"/CN={User}/CN=somebody", 2, true, Failed)]
    [InlineData($"/CN={User}", -1, true, Untrusted)]
    [InlineData($"/CN={User}", 2, false, Untrusted)]
    [InlineData("", 2, true, Failed)]
    public async Task ByItsName(string subject, int days, bool isOurs, string problem)
    {
        using Certificates made = await Certificates.CreateAsync(), others = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database, ini =>
        {
            ini.Settings["auth_type"] = "cert";
            ini.Settings["client_tls_ca_file"] = made.Authority;
        });
        (string, string)? shown = subject.Length > 0 ? await (isOurs ? made : others).SignAsync(subject, days: days) : null;
        await AssertAsync(made, pooler, database, shown, "", problem);
    }

    /// <summary>Each line of auth_hba_file with each certificate: the method cert, maps, and what is asked for beside a password.</summary>
    [Theory]
    [InlineData("hostssl all all all cert", $"/CN={User}", "", "", "")]
    [InlineData("hostssl all all all cert", "/CN=other", "", "", Failed)]
    [InlineData("hostssl all all all cert map=people", "/CN=Jane Doe", "", "", "")]
    [InlineData("hostssl all all all cert map=people", $"/CN={User}", "", "", Failed)]
    [InlineData("hostssl all all all cert map=people clientname=DN", "/O=Example, Inc./CN=jane", "", "", "")]
    [InlineData("hostssl all all all cert map=people clientname=SAN", "/CN=whoever", "email:jane@example.com,DNS:host", "", "")]
    [InlineData("hostssl all all all cert clientname=SAN", $"/CN={User}", "DNS:host", "", Failed)]
    [InlineData("hostssl all all all scram-sha-256 clientcert=verify-ca", "/CN=whoever", "", Password, "")]
    [InlineData("hostssl all all all scram-sha-256 clientcert=verify-ca", "", "", Password, Failed)]
    [InlineData("hostssl all all all scram-sha-256 clientcert=verify-full", "/CN=whoever", "", Password, Failed)]
    [InlineData("hostssl all all all scram-sha-256 clientcert=verify-full", $"/CN={User}", "", Password, "")]
    [InlineData("hostssl all all all scram-sha-256 clientcert=verify-full", $"/CN={User}", "", "wrong", "SASL authentication failed")]
    [InlineData("hostssl all all all trust sni=LocalHost", "", "", "", "")]
    [InlineData("hostssl all all all trust sni=elsewhere", "", "", "", Rejected)]
    [InlineData("hostnossl all all all trust", "", "", "", Rejected)]
    [InlineData("hostnossl all all all reject\\nhostssl all all all trust", "", "", "", "")]
    public async Task ByTheLinesOfAFile(string lines, string subject, string alternativeNames, string password, string problem)
    {
        using Certificates made = await Certificates.CreateAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using PoolerProcess pooler = await TlsTests.StartAsync(made, postgres, database, ini =>
        {
            ini.Settings["auth_type"] = "hba";
            ini.Settings["auth_hba_file"] = "hba";
            ini.Settings["auth_ident_file"] = "ident";
            ini.Files["hba"] = lines.Replace("\\n", "\n", StringComparison.Ordinal);
            ini.Files["ident"] = $"""
                people "Jane Doe" {User}
                people "CN=jane,O=Example\, Inc." {User}
                people jane@example.com {User}
                """;
            ini.Settings["client_tls_ca_file"] = made.Authority;
        });
        (string, string)? shown = subject.Length > 0 ? await made.SignAsync(subject, alternativeNames) : null;
        await AssertAsync(made, pooler, database, shown, password, problem);
    }

    /// <summary>What would let in nobody, or everybody, is no configuration.</summary>
    [Theory]
    [InlineData("auth_type = cert", "", "auth_type: cert needs client_tls_sslmode")]
    [InlineData("auth_type = hba\nauth_hba_file = hba", "hostssl all all all cert", "auth_hba_file: cert and clientcert need client_tls_sslmode and client_tls_ca_file")]
    [InlineData("auth_type = hba\nauth_hba_file = hba", "host all all all cert", "cert is for hostssl lines only")]
    [InlineData("auth_type = hba\nauth_hba_file = hba", "hostssl all all all trust clientcert=1", "clientcert=1: there is clientcert=verify-ca or verify-full")]
    [InlineData("auth_type = hba\nauth_hba_file = hba", "host all all all trust sni=a", "for hostssl lines only")]
    public async Task WhatMakesNoSense(string settings, string hba, string message)
    {
        using var folder = new RunFolder();
        (string file, _) = folder.Write("none", 1, more: settings + "\n");
        await File.WriteAllTextAsync(folder.PathOf("hba"), hba + "\n");
        await using ChildProcess process = ChildProcess.Start(folder.Path, PoolerProcess.RunnableBinary(folder.Path), file);
        await process.AssertEndAsync(1, message);
    }

    private static async Task AssertAsync(
        Certificates made, PoolerProcess pooler, string database, (string Certificate, string Key)? shown, string password, string problem)
    {
        string own = shown is { } pair ? $" sslcert={pair.Certificate} sslkey={await made.GiveKeyAsync(pair.Key, toOrdinaryUser: false)}" : "";
        CommandLine.Result answer = await CommandLine.PsqlAsync(
            $"host=localhost hostaddr=127.0.0.1 port={pooler.Port} dbname={database} user={User} password='{password}' sslmode=require{own}", "SELECT 'in'");
        Assert.Equal(problem.Length == 0 ? "in" : "", answer.Output);
        Assert.Contains(problem, answer.Error, StringComparison.Ordinal);
    }
}
