namespace Pooler.Config;

/// <summary>Whether a connection uses TLS and what it checks (<c>client_tls_sslmode</c>, <c>server_tls_sslmode</c>).</summary>
internal enum SslMode
{
    /// <summary>Never TLS.</summary>
    Disable,

    /// <summary>TLS if the other side wants it.</summary>
    Allow,

    /// <summary>TLS if the other side can.</summary>
    Prefer,

    /// <summary>TLS or no connection.</summary>
    Require,

    /// <summary>As Require, and the certificate must be signed by our authority.</summary>
    VerifyCa,

    /// <summary>As VerifyCa, and the certificate must bear the host's name.</summary>
    VerifyFull,
}
