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

    /// <summary>A bearer token of OAuth (PostgreSQL 18).</summary>
    OAuth,
}
