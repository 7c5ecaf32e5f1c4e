namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// Certificates as an operator makes them, by openssl: an authority of a test's own in a folder, and what it signs. Files are readable
/// by everybody, but for <see cref="GiveKeyAsync"/>.
/// </summary>
internal sealed class Certificates : IDisposable
{
    private int _number;

    private Certificates(string folder) => Folder = folder;

    public string Folder { get; }

    /// <summary>The authority's own.</summary>
    public string Authority => PathOf("ca.crt");

    public static async Task<Certificates> CreateAsync(string name = "authority")
    {
        var made = new Certificates(OrdinaryUser.CreateFolder());
        await made.OpensslAsync("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", $"/CN={name}", "-keyout", "ca.key", "-out", "ca.crt");
        return made;
    }

    /// <summary>A certificate of the authority's, and its key.</summary>
    /// <param name="subject">As openssl has it: /CN=app/O=example.</param>
    /// <param name="alternativeNames">As openssl has it: DNS:localhost,IP:127.0.0.1; empty: none.</param>
    /// <param name="days">How long it is good; negative: it has run out.</param>
    /// <param name="key">rsa:2048, or the name of a curve.</param>
    public async Task<(string Certificate, string Key)> SignAsync(string subject, string alternativeNames = "", int days = 2, string key = "rsa:2048")
    {
        string name = $"c{++_number}";
        string[] algorithm = key.StartsWith("rsa:", StringComparison.Ordinal) ? ["-newkey", key] : ["-newkey", "ec", "-pkeyopt", $"ec_paramgen_curve:{key}"];
        await OpensslAsync(["req", .. algorithm, "-nodes", "-subj", subject, "-keyout", $"{name}.key", "-out", $"{name}.csr"]);
        await File.WriteAllTextAsync(PathOf($"{name}.ext"), alternativeNames.Length > 0 ? $"subjectAltName = {alternativeNames}\n" : "basicConstraints = CA:FALSE\n");
        await OpensslAsync("x509", "-req", "-in", $"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", $"{days}", "-extfile", $"{name}.ext", "-out", $"{name}.crt");
        File.SetUnixFileMode(PathOf($"{name}.key"), (UnixFileMode)0b110_100_100);
        return (PathOf($"{name}.crt"), PathOf($"{name}.key"));
    }

    /// <summary>For the pooler, or any server at 127.0.0.1 and localhost.</summary>
    public Task<(string Certificate, string Key)> SignServerAsync() => SignAsync("/CN=localhost", "DNS:localhost,IP:127.0.0.1");

    /// <summary>A copy of a key that nobody but this process's user (psql, Npgsql), or but the ordinary user (PostgreSQL), may read.</summary>
    public async Task<string> GiveKeyAsync(string key, bool toOrdinaryUser)
    {
        string copy = PathOf($"own{++_number}.key");
        File.Copy(key, copy);
        File.SetUnixFileMode(copy, (UnixFileMode)0b110_000_000);
        if (toOrdinaryUser && OrdinaryUser.Name is { } name)
            Assert.Equal(0, (await CommandLine.RunAsync("chown", [name, copy])).ExitCode);
        else if (!toOrdinaryUser)
            Assert.Equal(0, (await CommandLine.RunAsync("chown", [Environment.UserName, copy])).ExitCode);
        return copy;
    }

    /// <summary>Lines of postgresql.conf for a server with this certificate that asks for those of clients.</summary>
    public async Task<string> PostgresSettingsAsync((string Certificate, string Key) own) => $"""
        ssl = on
        ssl_cert_file = '{own.Certificate}'
        ssl_key_file = '{await GiveKeyAsync(own.Key, toOrdinaryUser: true)}'
        ssl_ca_file = '{Authority}'
        """;

    public string PathOf(string name) => Path.Combine(Folder, name);

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private async Task OpensslAsync(params string[] arguments)
    {
        await using ChildProcess openssl = ChildProcess.Start(Folder, ["openssl", .. arguments]);
        Assert.True(await openssl.WaitForExitAsync(Patience.Default) && openssl.ExitCode == 0, openssl.Log);
    }
}
