using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Pooler.Admin;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Telemetry;

namespace Pooler;

/// <summary>SIGHUP reloads, SIGUSR1 pauses, SIGUSR2 resumes, as in PgBouncer (src/main.c). The handlers run on the thread pool.</summary>
internal sealed class Signals(ConfigControl control, Pools pools, ILogger log)
{
    // .NET has no names for these; Linux has these numbers for them on all processors we build for.
    private const PosixSignal SigUsr1 = (PosixSignal)10, SigUsr2 = (PosixSignal)12;

    private readonly List<PosixSignalRegistration> _registrations = [];

    public void Register()
    {
        On(PosixSignal.SIGHUP, () =>
        {
            log.Note("got SIGHUP, re-reading config");
            control.Reload();
        });
        On(SigUsr1, () => log.Note(pools.Pause(null) ? "got SIGUSR1, pausing all activity" : "got SIGUSR1, but already paused/suspended"));
        On(SigUsr2, () => log.Note(
            pools.Resume(null, IoThread.Clock()) ? "got SIGUSR2, continuing from PAUSE" : "got SIGUSR2, but not paused/suspended"));
    }

    public void Unregister()
    {
        _registrations.ForEach(static r => r.Dispose());
        _registrations.Clear();
    }

    private void On(PosixSignal signal, Action act) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        act();
    }));
}
