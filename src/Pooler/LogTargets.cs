using Pooler.Config;
using Pooler.Monitoring;
using Pooler.Telemetry;

namespace Pooler;

/// <summary>The settings of the log, at the start and at each RELOAD.</summary>
internal static class LogTargets
{
    /// <summary>Null when that went well, else what is wrong with logfile.</summary>
    public static string? Open(LogOutput log, PoolerConfig config)
    {
        log.Verbosity = config.Get(Settings.Verbose);
        log.Format = config.Get(Settings.LogFormat);
        log.Open(config.Get(Settings.Syslog)
            ? new SyslogSocket(config.Get(Settings.SyslogSocket), config.Get(Settings.SyslogIdent), config.Get(Settings.SyslogFacility))
            : null);
        log.Recent = PageEndpoint.IsShown(config) ? log.Recent ?? new RecentLines() : null;
        return log.Open(config.Get(Settings.LogFile));
    }
}
