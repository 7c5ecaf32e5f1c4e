namespace Pooler.Config;

/// <summary>What an HBA line asks for.</summary>
internal enum HbaMethod
{
    Reject,
    Trust,
    Password,
    Md5,
    ScramSha256,

    /// <summary>The system's user at the other end of the Unix socket, by the kernel's word.</summary>
    Peer,

    /// <summary>The TLS certificate of the client names the user.</summary>
    Cert,

    /// <summary>An LDAP server checks the password.</summary>
    Ldap,

    /// <summary>PAM checks the password.</summary>
    Pam,

    /// <summary>A bearer token of OAuth (PostgreSQL 18).</summary>
    OAuth,
}
