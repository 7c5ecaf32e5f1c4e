namespace Pooler.Config;

/// <summary>How TLS with servers begins (<c>server_tls_negotiation</c>; libpq's sslnegotiation).</summary>
internal enum TlsNegotiation
{
    /// <summary>SSLRequest is sent and answered first.</summary>
    Postgres,

    /// <summary>The TLS handshake is the first that is sent (PostgreSQL 17).</summary>
    Direct,
}
