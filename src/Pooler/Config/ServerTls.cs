using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Pooler.Config;

/// <summary>TLS with servers, made of the server_tls_… settings and their files.</summary>
internal sealed class ServerTls : IEquatable<ServerTls>
{
    private readonly SslClientAuthenticationOptions _options;

    private ServerTls(SslMode mode, bool isDirect, string settings, SslClientAuthenticationOptions options) =>
        (Mode, IsDirect, SettingTexts, _options) = (mode, isDirect, settings, options);

    public SslMode Mode { get; }

    /// <summary>The handshake begins at once, without SSLRequest (server_tls_negotiation = direct).</summary>
    public bool IsDirect { get; }

    /// <summary>What it was made of, to tell whether a RELOAD has changed it.</summary>
    public string SettingTexts { get; }

    /// <summary>A server without TLS is none for us.</summary>
    public bool IsRequired => Mode >= SslMode.Require;

    /// <summary>The certificate that servers are shown, with its key; null: none.</summary>
    public X509Certificate2? Certificate => _options.ClientCertificateContext?.TargetCertificate;

    /// <summary>Whom servers' certificates must be signed by; null: the system's authorities.</summary>
    public X509Certificate2Collection? Authorities { get; private init; }

    /// <summary>The same settings, and the same certificates behind them.</summary>
    public bool Equals(ServerTls? other) => other != null && SettingTexts == other.SettingTexts
        && Certificate?.Thumbprint == other.Certificate?.Thumbprint
        && (Authorities ?? []).Select(static c => c.Thumbprint).SequenceEqual((other.Authorities ?? []).Select(static c => c.Thumbprint));

    public override bool Equals(object? obj) => Equals(obj as ServerTls);

    public override int GetHashCode() => SettingTexts.GetHashCode(StringComparison.Ordinal);

    /// <summary>Null with an error said.</summary>
    public static ServerTls? Load(PoolerConfig config, Action<Setting, string> error)
    {
        SslMode mode = config.Get(Settings.ServerTlsSslMode);
        string certFile = config.Get(Settings.ServerTlsCertFile), keyFile = config.Get(Settings.ServerTlsKeyFile), caFile = config.Get(Settings.ServerTlsCaFile);
        bool isDirect = config.Get(Settings.ServerTlsNegotiation) == TlsNegotiation.Direct;
        if (isDirect && mode < SslMode.Require)
        {
            error(Settings.ServerTlsNegotiation, "direct needs server_tls_sslmode = require, verify-ca or verify-full: there is no way back to plain text");
            return null;
        }

        if (certFile.Length > 0 != keyFile.Length > 0)
        {
            error(Settings.ServerTlsCertFile, "server_tls_cert_file and server_tls_key_file go together");
            return null;
        }

        var files = new TlsFiles(error);
        X509Certificate2Collection? authorities = mode == SslMode.Disable ? null : files.ReadAuthorities(Settings.ServerTlsCaFile, caFile);
        (X509Certificate2 Certificate, X509Certificate2Collection Chain)? pair =
            mode == SslMode.Disable || certFile.Length == 0 ? null : files.ReadPair(Settings.ServerTlsCertFile, certFile, Settings.ServerTlsKeyFile, keyFile);
        string texts = string.Join('\n', Settings.All.Where(static s => s.Name.StartsWith("server_tls", StringComparison.Ordinal)).Select(config.GetText));
        return new ServerTls(mode, isDirect, texts, OptionsOf(config, authorities, pair)) { Authorities = authorities };
    }

    /// <summary>
    /// For a handshake with this host, whose name is said to it (SNI), and with verify-full must be in its certificate. Why it was not
    /// believed is told to <paramref name="refuse"/>.
    /// </summary>
    public SslClientAuthenticationOptions OptionsFor(string host, Action<string> refuse)
    {
        var options = new SslClientAuthenticationOptions { AllowRenegotiation = false, ApplicationProtocols = [TlsFiles.Postgres] };
        Complete(options, host, refuse);
        return options;
    }

    /// <inheritdoc cref="OptionsFor"/>
    public void Complete(SslClientAuthenticationOptions options, string host, Action<string>? refuse = null)
    {
        options.TargetHost = host;
        options.EnabledSslProtocols = _options.EnabledSslProtocols;
        options.CipherSuitesPolicy = _options.CipherSuitesPolicy;
        options.ClientCertificateContext = _options.ClientCertificateContext;
        options.CertificateChainPolicy = _options.CertificateChainPolicy;
        options.CertificateRevocationCheckMode = X509RevocationMode.NoCheck;
        options.RemoteCertificateValidationCallback = (_, _, chain, errors) =>
        {
            string? problem = ProblemOf(host, chain, errors);
            if (problem != null)
            {
                refuse?.Invoke(problem);
            }

            return problem == null;
        };
    }

    private static SslClientAuthenticationOptions OptionsOf(
        PoolerConfig config, X509Certificate2Collection? authorities, (X509Certificate2 Certificate, X509Certificate2Collection Chain)? pair) => new()
    {
        EnabledSslProtocols = config.Get(Settings.ServerTlsProtocols).Protocols,
        CipherSuitesPolicy = TlsCiphers.PolicyOf(config.Get(Settings.ServerTlsCiphers), config.Get(Settings.ServerTls13Ciphers)),
        ClientCertificateContext = pair is { } p ? SslStreamCertificateContext.Create(p.Certificate, p.Chain, offline: true) : null,
        CertificateChainPolicy = TlsFiles.Policy(authorities),
    };

    /// <summary>PgBouncer: below verify-ca nobody looks at the certificate (libpq does, if it has a root certificate).</summary>
    private string? ProblemOf(string host, X509Chain? chain, SslPolicyErrors errors)
    {
        errors &= Mode == SslMode.VerifyFull ? errors : Mode == SslMode.VerifyCa ? ~SslPolicyErrors.RemoteCertificateNameMismatch : SslPolicyErrors.None;
        return errors == SslPolicyErrors.None ? null
            : errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable) ? "the server shows no certificate"
            : errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors)
                ? $"the server's certificate is not trusted (server_tls_ca_file): {chain?.ChainStatus.FirstOrDefault().StatusInformation}"
            : $"the server's certificate is not made out to \"{host}\" (server_tls_sslmode = verify-full)";
    }
}
