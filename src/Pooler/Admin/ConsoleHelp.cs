namespace Pooler.Admin;

/// <summary>What SHOW HELP prints: PgBouncer's lines, with our own behind those they belong to.</summary>
internal static class ConsoleHelp
{
    public const string Text =
        "\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION"
        + "\n\tSHOW PEERS|PEER_POOLS"
        + "\n\tSHOW SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE"
        + "\n\tSHOW DNS_HOSTS|DNS_ZONES"
        + "\n\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS"
        + "\n\tSHOW HEALTH|HOSTS|PINS|PINS_TOTALS|PREPARED|REPLICATION|STATEMENTS"
        + "\n\tSHOW ROUTE [<db>] '<statement>'"
        + "\n\tSET key = arg"
        + "\n\tRELOAD"
        + "\n\tPAUSE [<db>]"
        + "\n\tRESUME [<db>]"
        + "\n\tDISABLE <db>"
        + "\n\tENABLE <db>"
        + "\n\tRECONNECT [<db>]"
        + "\n\tKILL [<db>]"
        + "\n\tKILL_CLIENT <client_id>"
        + "\n\tLOG QUERIES CLIENT <client_id>|USER <user>|DATABASE <db> [FOR <seconds>]"
        + "\n\tLOG QUERIES OFF"
        + "\n\tRESET STATEMENTS"
        + "\n\tSUSPEND"
        + "\n\tSHUTDOWN"
        + "\n\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS"
        + "\n\tWAIT_CLOSE [<db>]"
        + "\n\tSWITCHOVER <db> TO <host>[:<port>]";
}
