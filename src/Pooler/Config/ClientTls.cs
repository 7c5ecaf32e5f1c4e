using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Pooler.Config;

/// <summary>TLS with clients, made of the client_tls_… settings and their files; there is none with client_tls_sslmode = disable.</summary>
internal sealed class ClientTls
{
    private readonly PoolerConfig _config;
    private readonly SslStreamCertificateContext _context;
    private readonly X509Certificate2Collection? _authorities;

    private ClientTls(PoolerConfig config, X509Certificate2 certificate, X509Certificate2Collection chain, X509Certificate2Collection? authorities)
    {
        _config = config;
        _context = SslStreamCertificateContext.Create(certificate, chain, offline: true);
        _authorities = authorities;
        Mode = config.Get(Settings.ClientTlsSslMode);
        EndPoint = TlsFiles.EndPointOf(certificate);
    }

    public SslMode Mode { get; }

    /// <summary>What clients are shown.</summary>
    public X509Certificate2 Certificate => _context.TargetCertificate;

    /// <summary>What SCRAM binds to (tls-server-end-point); null: the certificate cannot be bound to.</summary>
    public byte[]? EndPoint { get; }

    /// <summary>Who does not speak TLS is turned away.</summary>
    public bool IsRequired => Mode >= SslMode.Require;

    /// <summary>Clients' certificates are asked for, and none is taken that our authorities have not signed.</summary>
    public bool ChecksCertificates => _authorities != null;

    /// <summary>Null without TLS, or with an error said.</summary>
    public static ClientTls? Load(PoolerConfig config, Action<Setting, string> error)
    {
        SslMode mode = config.Get(Settings.ClientTlsSslMode);
        string certFile = config.Get(Settings.ClientTlsCertFile), keyFile = config.Get(Settings.ClientTlsKeyFile);
        if (config.Get(Settings.AuthType) == AuthType.Cert && (mode == SslMode.Disable || config.Get(Settings.ClientTlsCaFile).Length == 0))
        {
            error(Settings.AuthType, "cert needs client_tls_sslmode, best verify-full, and client_tls_ca_file");
            return null;
        }

        if (mode == SslMode.Disable)
        {
            return null;
        }

        if (certFile.Length == 0 || keyFile.Length == 0)
        {
            error(Settings.ClientTlsSslMode, "TLS with clients needs client_tls_cert_file and client_tls_key_file");
            return null;
        }

        if (mode >= SslMode.VerifyCa && config.Get(Settings.ClientTlsCaFile).Length == 0)
        {
            error(Settings.ClientTlsSslMode, "verify-ca and verify-full need client_tls_ca_file: who may sign clients' certificates?");
            return null;
        }

        var files = new TlsFiles(error);
        X509Certificate2Collection? authorities = files.ReadAuthorities(Settings.ClientTlsCaFile, config.Get(Settings.ClientTlsCaFile));
        return files.ReadPair(Settings.ClientTlsCertFile, certFile, Settings.ClientTlsKeyFile, keyFile) is { } pair
            ? new ClientTls(config, pair.Certificate, pair.Chain, authorities)
            : null;
    }

    /// <summary>
    /// For one handshake. What is wrong with the client's certificate is told to <paramref name="refuse"/> and ends no handshake: the
    /// client shall learn it in PostgreSQL's form, which it can once TLS is up.
    /// </summary>
#pragma warning disable CA5359 // The verdict is the caller's to act on: the login ends with it.
    public SslServerAuthenticationOptions OptionsFor(Action<string> refuse) => new()
    {
        ServerCertificateContext = _context, // The same for all, so that sessions can be resumed.
        EnabledSslProtocols = _config.Get(Settings.ClientTlsProtocols).Protocols,
        CipherSuitesPolicy = TlsCiphers.PolicyOf(_config.Get(Settings.ClientTlsCiphers), _config.Get(Settings.ClientTls13Ciphers)),
        ApplicationProtocols = [TlsFiles.Postgres],
        AllowRenegotiation = false,
        EncryptionPolicy = EncryptionPolicy.RequireEncryption,

        // As in PostgreSQL with ssl_ca_file: one that is shown must be good, even if none is demanded.
        ClientCertificateRequired = ChecksCertificates,
        CertificateChainPolicy = ChecksCertificates ? TlsFiles.Policy(_authorities) : null,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = !ChecksCertificates ? null : (_, shown, chain, errors) =>
        {
            if (shown == null && Mode >= SslMode.VerifyCa)
            {
                refuse("connection requires a valid client certificate");
            }
            else if (shown != null && errors != SslPolicyErrors.None)
            {
                refuse($"client certificate is not trusted: {chain?.ChainStatus.FirstOrDefault().StatusInformation}");
            }

            return true;
        },
    };
#pragma warning restore CA5359
}
