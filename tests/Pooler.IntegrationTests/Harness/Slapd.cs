using System.Net;
using System.Net.Sockets;

namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// A real LDAP server of a test's own (Debian's slapd): its data in a folder, ports for ldap and ldaps on 127.0.0.1, a certificate for
/// that address of an authority that nobody else knows.
/// </summary>
internal sealed class Slapd : IAsyncDisposable
{
    public const string People = "ou=people,dc=example,dc=net";
    public const string Reader = "cn=reader,dc=example,dc=net", ReaderPassword = "reader's \"own\", secret"; // As the tests write it in their options.

    private readonly string _folder;
    private ChildProcess? _process;

    private readonly Certificates _made;
    private (string Certificate, string Key) _own;

    private Slapd(string folder, Certificates made) => (_folder, _made) = (folder, made);

    public int Port { get; } = FreePort.Next();

    /// <summary>For ldaps.</summary>
    public int TlsPort { get; } = FreePort.Next();

    /// <summary>The certificate of the authority that signed the server's.</summary>
    public string Authority => _made.Authority;

    /// <param name="name">What the server's certificate says it is, as openssl has it.</param>
    /// <param name="people">Name and password of each.</param>
    public static async Task<Slapd> StartAsync(string name, params (string Uid, string Password)[] people)
    {
        var server = new Slapd(OrdinaryUser.CreateFolder(), await Certificates.CreateAsync());
        try
        {
            server._own = await server._made.SignAsync("/CN=slapd", name);
            await server.FillAsync(people);
            await server.RunAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_process != null)
            await _process.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        _made.Dispose();
    }

    private async Task FillAsync((string Uid, string Password)[] people)
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "slapd.conf"), $"""
            include /etc/ldap/schema/core.schema
            include /etc/ldap/schema/cosine.schema
            include /etc/ldap/schema/inetorgperson.schema
            modulepath /usr/lib/ldap
            moduleload back_mdb
            pidfile {_folder}/slapd.pid
            TLSCACertificateFile {_made.Authority}
            TLSCertificateFile {_own.Certificate}
            TLSCertificateKeyFile {_own.Key}
            allow bind_anon_cred bind_anon_dn
            database mdb
            suffix "dc=example,dc=net"
            directory {_folder}/data
            access to attrs=userPassword by anonymous auth by * none
            access to * by dn.exact="{Reader}" read by anonymous auth by * none

            """);
        IEnumerable<string> entries = people.Select(static person => $"""
            dn: uid={person.Uid.Replace("\\", "\\5c").Replace(",", "\\2c").Replace("+", "\\2b")},{People}
            objectClass: inetOrgPerson
            uid: {person.Uid}
            cn: one of us
            sn: one of us
            userPassword: {person.Password}
            """);
        await File.WriteAllTextAsync(Path.Combine(_folder, "data.ldif"), string.Join("\n\n", ["""
            dn: dc=example,dc=net
            objectClass: dcObject
            objectClass: organization
            o: example
            """, $"dn: {People}\nobjectClass: organizationalUnit\nou: people", $"""
            dn: {Reader}
            objectClass: person
            cn: reader
            sn: reader
            userPassword: {ReaderPassword}
            """, .. entries]) + "\n");
        await using (ChildProcess mkdir = ChildProcess.Start(_folder, "mkdir", "data"))
            Assert.True(await mkdir.WaitForExitAsync(Patience.Default));
        await using ChildProcess slapadd = ChildProcess.Start(_folder, "/usr/sbin/slapadd", "-f", "slapd.conf", "-l", "data.ldif");
        Assert.True(await slapadd.WaitForExitAsync(Patience.Default) && slapadd.ExitCode == 0, slapadd.Log);
    }

    private async Task RunAsync()
    {
        _process = ChildProcess.Start(_folder, "/usr/sbin/slapd", "-f", "slapd.conf", "-h", $"ldap://127.0.0.1:{Port}/ ldaps://127.0.0.1:{TlsPort}/", "-d", "0");
        await Eventually.BecomesAsync("slapd listens", () => Task.FromResult(_process.HasExited ? "it has ended" : Listens() ? "it does" : _process.Log), static seen => seen == "it does");
    }

    private bool Listens()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(new IPEndPoint(IPAddress.Loopback, TlsPort));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
