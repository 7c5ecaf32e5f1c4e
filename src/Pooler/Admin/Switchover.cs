using System.Diagnostics;
using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Session;
using Pooler.Sql;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>One switchover, step by step; runs on the console's I/O thread and looks again every few milliseconds.</summary>
internal sealed class Switchover(AdminConsole console, Connection client, HostCluster cluster, int target)
{
    private const long LookMicroseconds = 10_000;
    private const int MostNamed = 10;

    private readonly ClusterConfig _config = cluster.Config;
    private readonly HostAddress _old = cluster.State.Hosts[cluster.State.Primary!.Value].Address;
    private readonly long _start = IoThread.Clock();
    private readonly LookTimer _timer = new(client);

    public string Database => _config.Name;

    public HostAddress Target => _config.Hosts[target];

    private bool IsDone => cluster.State.Primary == target;

    private long HoldEnd => _start + (long)_config.FailoverHoldTime.TotalMicroseconds;

    /// <summary>Null when the target is the primary; else why it is not.</summary>
    public async ValueTask<string?> RunAsync(ConsoleSession session)
    {
        // 1. New transactions wait: the cluster has no host to write to since it began.
        // 2. Those under way end.
        if (await DrainAsync(session) is { } blockers)
        {
            return blockers;
        }

        // 3. What the old primary has written by now the target has too.
        long held = IoThread.Clock();
        cluster.WantSample(held);
        if (!await UntilAsync(session, () => IsDone || HasReached(held)))
        {
            return Failure(session, $"{Target} has not replayed what {_old} had written");
        }

        // 4. Somebody promotes the target.
        if (!IsDone && _config.SwitchoverCommand == null)
        {
            string ready = $"{Target} has all that {_old} has written: promote it now";
            console.Log.Note(ready);
            session.Notice(ready);
            client.Outbox.Flush();
        }

        Task<string?>? command = IsDone || _config.SwitchoverCommand == null ? null : Task.Run(RunCommand);
        if (!await UntilAsync(session, () => IsDone || command is { IsCompletedSuccessfully: true, Result: not null }))
        {
            return Failure(session, $"{Target} was not promoted");
        }

        // 5. The cluster has taken it for the primary, and what waited has gone there.
        return IsDone ? null : command!.Result;
    }

    /// <summary>Whatever came of it: writes are no longer held for it.</summary>
    public void End()
    {
        client.Owner.Wheel.Clear(_timer);
        cluster.EndSwitchover();
    }

    /// <summary>
    /// Waits until no transaction runs on the old primary, and ends the sessions that hold a server of it beyond (pins, session
    /// mode). Null when nobody is left.
    /// </summary>
    private async ValueTask<string?> DrainAsync(ConsoleSession session)
    {
        var named = new HashSet<ClientSession>();
        long end = Math.Min(HoldEnd, _start + (long)_config.SwitchoverDrainTime.TotalMicroseconds);
        while (true)
        {
            List<Holder> holders = await Survey.Run(console.Threads, client, _ => console.Clients.OfCurrentThread(), Copy);
            if (holders.Count == 0 && !console.Pools.IsUsed(cluster, _old))
            {
                return null;
            }

            Name(session, holders, named);
            List<Holder> busy = [.. holders.Where(static h => h.IsBusy)];
            if (busy.Count == 0)
            {
                holders.ForEach(static h => h.Session.Thread.Post(() => EndIdle(h.Session)));
            }

            if (GivesUp(session) || IoThread.Clock() >= end)
            {
                return Failure(session, $"transactions on {_old} have not ended within switchover_drain_time: {Names(busy.Count > 0 ? busy : holders)}");
            }

            await LookAgainAsync();
        }
    }

    private Holder? Copy(ClientSession session)
    {
        if (session.Server is not { } server || server.Host != _old || session.Pool.ByHost?.Cluster != cluster || session.IsEnding)
        {
            return null;
        }

        bool isBusy = session.Exchange is { IsUnderWay: true } || session.IsInTransaction;
        (string address, int port) = session.Client.Name(peer: true);
        string pins = session.Exchange is { PinReasons: not PinReason.None } exchange ? PinReasons.Text(exchange.PinReasons) : "session mode";
        return new Holder(session, isBusy, $"{session.Identity.User}@{EndpointText.Join(address, port)}", pins);
    }

    private static void EndIdle(ClientSession session)
    {
        if (session.Exchange is { IsUnderWay: false } && !session.IsInTransaction)
        {
            session.End(SessionEnd.Over(SessionErrors.SwitchedOver.Fields()));
        }
    }

    /// <summary>Those that will be ended, once each and before they are: also who was busy when it was first looked at.</summary>
    private static void Name(ConsoleSession session, List<Holder> holders, HashSet<ClientSession> named)
    {
        foreach (Holder holder in holders.Where(static h => !h.IsBusy))
        {
            if (named.Count < MostNamed && named.Add(holder.Session))
            {
                session.Notice($"{holder.Name} cannot move and will be ended: {holder.Pins}");
            }
        }
    }

    private static string Names(List<Holder> holders) =>
        string.Join(", ", holders.Take(MostNamed).Select(static h => h.Name)) + (holders.Count > MostNamed ? $" and {holders.Count - MostNamed} more" : "");

    private bool HasReached(long held)
    {
        ClusterState state = cluster.State;
        cluster.WantSample(held);
        return state.Bound(held) is { } position && state.Hosts[target] is { IsUp: true } host && host.AskedAt > held && host.Position >= position;
    }

    /// <summary>Null if it went well.</summary>
    private string? RunCommand()
    {
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(_config.SwitchoverCommand!);
        start.Environment["POOLER_DATABASE"] = Database;
        (start.Environment["POOLER_OLD_HOST"], start.Environment["POOLER_OLD_PORT"]) = (_old.Name, $"{_old.Port}");
        (start.Environment["POOLER_NEW_HOST"], start.Environment["POOLER_NEW_PORT"]) = (Target.Name, $"{Target.Port}");
        using Process? process = Start(start, out string? problem);
        if (process == null)
        {
            return problem;
        }

        process.StandardInput.Close();
        TimeSpan left = TimeSpan.FromMicroseconds(Math.Max(0, HoldEnd - IoThread.Clock()));
        if (!process.WaitForExit(left))
        {
            process.Kill(entireProcessTree: true);
            return "switchover_command has not ended within failover_hold_time";
        }

        return process.ExitCode == 0 ? null : $"switchover_command has failed with exit status {process.ExitCode}";
    }

    private static Process? Start(ProcessStartInfo start, out string? problem)
    {
        try
        {
            problem = null;
            return Process.Start(start);
        }
        catch (System.ComponentModel.Win32Exception fault)
        {
            problem = $"switchover_command: {fault.Message}";
            return null;
        }
    }

    /// <summary>False when the hold time is over first, or nobody waits any more.</summary>
    private async ValueTask<bool> UntilAsync(ConsoleSession session, Func<bool> isSo)
    {
        while (!isSo())
        {
            if (GivesUp(session) || IoThread.Clock() >= HoldEnd)
            {
                return false;
            }

            cluster.WantHost(IoThread.Clock());
            await LookAgainAsync();
        }

        return true;
    }

    private bool GivesUp(ConsoleSession session) => session.IsCanceled || client.HasHungUp || client.Input.IsEnded;

    private string Failure(ConsoleSession session, string what) =>
        session.IsCanceled ? "canceling statement due to user request"
        : IoThread.Clock() >= HoldEnd ? $"{what} within failover_hold_time; {_old} is written to again if it takes writes"
        : $"{what}; {_old} is written to again";

    private ValueTask LookAgainAsync()
    {
        client.Owner.Wheel.Set(_timer, client.Owner.Now + LookMicroseconds);
        return client.Input.ParkAsync();
    }

    /// <summary>A client that holds a server of the old primary.</summary>
    /// <param name="Pins">Why it would hold it beyond its transaction.</param>
    private sealed record Holder(ClientSession Session, bool IsBusy, string Name, string Pins);

    private sealed class LookTimer(Connection client) : WheelTimer
    {
        internal override void Expired() => client.Input.Wake();
    }
}
