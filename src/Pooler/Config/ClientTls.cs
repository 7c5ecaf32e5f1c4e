using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Pooler.Config;

/// <summary>TLS with clients, made of the client_tls_… settings and their files; there is none with client_tls_sslmode = disable.</summary>
internal sealed class ClientTls
{
    private ClientTls(SslMode mode, X509Certificate2 certificate, SslServerAuthenticationOptions options) =>
        (Mode, Certificate, EndPoint, Options) = (mode, certificate, TlsFiles.EndPointOf(certificate), options);

    public SslMode Mode { get; }

    /// <summary>Ours.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>What SCRAM binds to (tls-server-end-point); null: the certificate cannot be bound to.</summary>
    public byte[]? EndPoint { get; }

    /// <summary>The same for all handshakes, so that sessions can be resumed.</summary>
    public SslServerAuthenticationOptions Options { get; }

    /// <summary>Who does not speak TLS is turned away.</summary>
    public bool IsRequired => Mode >= SslMode.Require;

    /// <summary>Clients' certificates are asked for, and none is taken that our authorities have not signed.</summary>
    public bool ChecksCertificates => Options.ClientCertificateRequired;

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

        bool mustVerify = mode >= SslMode.VerifyCa;
        if (mustVerify && config.Get(Settings.ClientTlsCaFile).Length == 0)
        {
            error(Settings.ClientTlsSslMode, "verify-ca and verify-full need client_tls_ca_file: who may sign clients' certificates?");
            return null;
        }

        var files = new TlsFiles(error);
        X509Certificate2Collection? authorities = files.ReadAuthorities(Settings.ClientTlsCaFile, config.Get(Settings.ClientTlsCaFile));
        return files.ReadPair(Settings.ClientTlsCertFile, certFile, Settings.ClientTlsKeyFile, keyFile) is { } pair
            ? new ClientTls(mode, pair.Certificate, OptionsOf(config, pair.Certificate, pair.Chain, authorities, mustVerify))
            : null;
    }

    private static SslServerAuthenticationOptions OptionsOf(
        PoolerConfig config, X509Certificate2 certificate, X509Certificate2Collection chain, X509Certificate2Collection? authorities, bool mustVerify) => new()
    {
        ServerCertificateContext = SslStreamCertificateContext.Create(certificate, chain, offline: true),
        EnabledSslProtocols = config.Get(Settings.ClientTlsProtocols).Protocols,
        CipherSuitesPolicy = TlsCiphers.PolicyOf(config.Get(Settings.ClientTlsCiphers), config.Get(Settings.ClientTls13Ciphers)),
        ApplicationProtocols = [new SslApplicationProtocol("postgresql")],
        AllowRenegotiation = false,
        EncryptionPolicy = EncryptionPolicy.RequireEncryption,

        // As in PostgreSQL with ssl_ca_file: one that is shown must be good, even if none is demanded.
        ClientCertificateRequired = authorities != null,
        CertificateChainPolicy = authorities != null ? TlsFiles.Policy(authorities) : null,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = authorities == null ? null
            : (_, shown, _, errors) => shown == null ? !mustVerify : errors == SslPolicyErrors.None,
    };
}
