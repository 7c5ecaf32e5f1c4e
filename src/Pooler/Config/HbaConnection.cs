namespace Pooler.Config;

/// <summary>The first word of an HBA line: which connections it is for.</summary>
internal enum HbaConnection
{
    /// <summary>Unix sockets.</summary>
    Local,

    /// <summary>TCP, with TLS or without.</summary>
    Host,

    /// <summary>TCP with TLS.</summary>
    HostSsl,

    /// <summary>TCP without TLS.</summary>
    HostNoSsl,

    /// <summary>TCP with GSS encryption, which there is none of here: no connection is meant.</summary>
    HostGss,
}
