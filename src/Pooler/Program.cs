using System.Collections;
using Pooler;
using Pooler.Config;
using Pooler.Monitoring;
using Pooler.Net;
using Pooler.Telemetry;

CommandLine line = CommandLine.Parse(args);
if (line.Problem != null)
{
    Console.Error.WriteLine(line.Problem + Environment.NewLine + CommandLine.Usage);
    return 1;
}

if (line.ShowHelp || line.ShowVersion)
{
    Console.WriteLine(line.ShowHelp ? CommandLine.Usage : PoolerService.Version);
    return 0;
}

if (Daemon.IsThisProcess)
{
    Daemon.LeaveSession();
}

Dictionary<string, string> environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
    .ToDictionary(static e => (string)e.Key, static e => (string?)e.Value ?? "");
if (line.Probe != null)
{
    return await Probe.AskAsync(line.Probe, environment);
}

if (line.Top != null)
{
    return Probe.AddressOf(line.Top, "", environment) is { } address ? await new TopCommand(address).RunAsync() : 1;
}

line.AddTo(environment);
ConfigResult result = ConfigLoader.Load(line.ConfigFile, environment);
foreach (ConfigError error in result.Errors)
{
    Console.Error.WriteLine(error);
}

if (!result.IsValid)
{
    return 1;
}

if (line.CheckOnly)
{
    foreach (string warning in result.Config.Warnings)
    {
        Console.Error.WriteLine("warning: " + warning);
    }

    Console.WriteLine("the configuration is valid");
    return 0;
}

string pidFile = result.Config.Get(Settings.PidFile);
if (line.IsDaemon && (pidFile.Length == 0 || result.Config.Get(Settings.LogFile).Length == 0))
{
    Console.Error.WriteLine("-d needs a pidfile and a logfile: set pidfile and logfile in the configuration"); // As PgBouncer.
    return 1;
}

Syscalls.HeedSignals();
using var log = new LogOutput { Verbosity = result.Config.Get(Settings.Verbose), IsQuiet = line.IsQuiet };
try
{
    if (pidFile.Length > 0 && PidFile.Check(pidFile) && !Daemon.IsThisProcess)
    {
        log.Note("stale pidfile, removing");
        File.Delete(pidFile);
    }

    if (line.IsDaemon && !Daemon.IsThisProcess)
    {
        return Daemon.Start(args, pidFile);
    }

    if (result.Config.Get(Settings.SystemUser) is { Length: > 0 } user)
    {
        SystemUser.ChangeTo(user);
    }

    if (LogTargets.Open(log, result.Config) is { } problem)
    {
        throw new StartException(problem);
    }
}
catch (StartException e)
{
    return NotStarted(e);
}

try
{
    using var service = new PoolerService(new LiveConfig(result.Config), environment, log, log);
    await service.RunAsync();
    return Environment.ExitCode;
}
catch (StartException e)
{
    return NotStarted(e);
}

// Also under -q: nobody would know why.
int NotStarted(StartException e)
{
    if (line.IsQuiet)
    {
        Console.Error.WriteLine(e.Message);
    }

    log.Failed(e.Message);
    return 1;
}
