namespace Pooler.Telemetry;

/// <summary>The setting syslog_facility, with the numbers of RFC 3164, section 4.1.1.</summary>
internal enum SyslogFacility
{
    User = 1,
    Daemon = 3,
    Auth = 4,
    AuthPriv = 10,
    Local0 = 16,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}
