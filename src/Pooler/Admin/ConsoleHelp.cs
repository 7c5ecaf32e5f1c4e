namespace Pooler.Admin;

/// <summary>What SHOW HELP prints, in PgBouncer's form: the commands that are there.</summary>
internal static class ConsoleHelp
{
    public const string Text =
        "\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION"
        + "\n\tSHOW HEALTH|HOSTS|LISTS|MEM|PINS|PINS_TOTALS|PREPARED|REPLICATION|STATE"
        + "\n\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS"
        + "\n\tSET key = arg"
        + "\n\tRELOAD"
        + "\n\tPAUSE [<db>]"
        + "\n\tRESUME [<db>]";
}
