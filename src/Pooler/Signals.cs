using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Pooler.Admin;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler;

/// <summary>
/// SIGHUP reloads, SIGUSR1 pauses, SIGUSR2 resumes, SIGTERM waits for clients, SIGINT for servers, SIGQUIT for nobody; a second SIGTERM
/// or SIGINT neither (PgBouncer, src/main.c). The handlers run on the thread pool.
/// </summary>
internal sealed class Signals(ConfigControl control, Pools pools, Shutdown shutdown, SystemdNotifier systemd, ILogger log)
{
    // .NET has no names for these; Linux has these numbers for them on all processors we build for.
    private const PosixSignal SigUsr1 = (PosixSignal)10, SigUsr2 = (PosixSignal)12;

    private readonly List<PosixSignalRegistration> _registrations = [];

    public void Register()
    {
        On(PosixSignal.SIGHUP, () =>
        {
            log.Note("got SIGHUP, re-reading config");
            systemd.Reloading();
            control.Reload();
            systemd.Ready();
        });
        On(SigUsr1, () => log.Note(pools.Pause(null) ? "got SIGUSR1, pausing all activity" : "got SIGUSR1, but already paused/suspended"));
        On(SigUsr2, Resume);
        On(PosixSignal.SIGTERM, () => Stop("SIGTERM", StopMode.WaitForClients, "waiting for all clients disconnect"));
        On(PosixSignal.SIGINT, () => Stop("SIGINT", StopMode.WaitForServers, "waiting for all servers connections to be released"));
        On(PosixSignal.SIGQUIT, () => Stop("SIGQUIT", StopMode.Immediate, "fast exit"));
    }

    public void Unregister()
    {
        _registrations.ForEach(static r => r.Dispose());
        _registrations.Clear();
    }

    private void Resume() => log.Note(
        shutdown.Mode != StopMode.None ? "got SIGUSR2 while shutting down, ignoring"
        : pools.Resume(null, IoThread.Clock()) ? "got SIGUSR2, continuing from PAUSE"
        : "got SIGUSR2, but not paused/suspended");

    private void Stop(string signal, StopMode mode, string what)
    {
        bool isSecond = mode != StopMode.Immediate && shutdown.IsLeaving;
        log.Note(isSecond ? $"got {signal} while shutting down, fast exit" : $"got {signal}, shutting down, {what}");
        shutdown.Begin(isSecond ? StopMode.Immediate : mode);
    }

    private void On(PosixSignal signal, Action act) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        act();
    }));
}
