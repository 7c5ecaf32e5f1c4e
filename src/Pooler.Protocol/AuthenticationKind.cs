namespace Pooler.Protocol;

/// <summary>The word that tells Authentication messages apart (PostgreSQL documentation, 55.7 Message Formats).</summary>
public enum AuthenticationKind
{
    /// <summary>AuthenticationOk.</summary>
    Ok = 0,

    /// <summary>AuthenticationKerberosV5, no longer supported by PostgreSQL.</summary>
    KerberosV5 = 2,

    /// <summary>AuthenticationCleartextPassword.</summary>
    CleartextPassword = 3,

    /// <summary>AuthenticationMD5Password.</summary>
    Md5Password = 5,

    /// <summary>AuthenticationGSS.</summary>
    Gss = 7,

    /// <summary>AuthenticationGSSContinue.</summary>
    GssContinue = 8,

    /// <summary>AuthenticationSSPI.</summary>
    Sspi = 9,

    /// <summary>AuthenticationSASL.</summary>
    Sasl = 10,

    /// <summary>AuthenticationSASLContinue.</summary>
    SaslContinue = 11,

    /// <summary>AuthenticationSASLFinal.</summary>
    SaslFinal = 12,
}
