namespace Pooler.Admin;

/// <summary>How the process comes to its end (PgBouncer's cf_shutdown); each is a step further than the one before.</summary>
internal enum StopMode
{
    /// <summary>It does not.</summary>
    None,

    /// <summary>SIGTERM, SHUTDOWN WAIT_FOR_CLIENTS: it works on until the last client has left.</summary>
    WaitForClients,

    /// <summary>SIGINT, SHUTDOWN WAIT_FOR_SERVERS: nothing new begins, transactions come to their end.</summary>
    WaitForServers,

    /// <summary>SIGQUIT, SHUTDOWN: at once.</summary>
    Immediate,
}
