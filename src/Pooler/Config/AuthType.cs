namespace Pooler.Config;

/// <summary>How clients prove who they are (<c>auth_type</c>).</summary>
internal enum AuthType
{
    /// <summary>Nobody is asked, and the user name is not even looked up.</summary>
    Any,

    /// <summary>Nobody is asked, but the user must exist.</summary>
    Trust,

    /// <summary>Clear-text password.</summary>
    Plain,

    /// <summary>MD5 challenge; a user whose secret is a SCRAM one is asked for SCRAM.</summary>
    Md5,

    /// <summary>SCRAM-SHA-256.</summary>
    ScramSha256,

    /// <summary>TLS client certificate.</summary>
    Cert,

    /// <summary>By the rules of <c>auth_hba_file</c>.</summary>
    Hba,

    /// <summary>LDAP bind.</summary>
    Ldap,

    /// <summary>PAM.</summary>
    Pam,

    /// <summary>A bearer token of OAuth (ours; PostgreSQL 18 has it as an HBA method).</summary>
    OAuth,
}
