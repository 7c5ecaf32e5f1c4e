using Pooler.Cluster;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Session;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// SWITCHOVER database TO host[:port], ours: the primary is changed on purpose, and clients see a pause. Whatever comes in between,
/// also a client that gives up waiting (Ctrl-C), leads back to the primary as it was.
/// </summary>
internal sealed class SwitchoverCommand : ConsoleCommand
{
    internal override async ValueTask RunAsync(ConsoleSession session, ConsoleStatement statement)
    {
        if (session.Console.Clusters.Find(statement.Argument) is not { } cluster)
        {
            session.Error(ConsoleErrors.NoRouting.Fields(statement.Argument));
            return;
        }

        if (statement.Value == null || Find(cluster.Config, statement.Value) is not { } target)
        {
            string hosts = string.Join(", ", cluster.Config.Hosts);
            session.Error(ConsoleErrors.WhichHost.Fields(statement.Argument, hosts));
        }
        else if (Refusal(cluster.State, target) is { } refusal)
        {
            session.Error(ConsoleErrors.CannotSwitch.Fields(refusal));
        }
        else if (!cluster.BeginSwitchover(target))
        {
            session.Error(ConsoleErrors.Switching.Fields());
        }
        else
        {
            await RunAsync(session, new Switchover(session.Console, session.Client, cluster, target));
        }
    }

    private static async ValueTask RunAsync(ConsoleSession session, Switchover switchover)
    {
        Note(session, $"SWITCHOVER '{switchover.Database}' TO {switchover.Target} command issued");
        try
        {
            string? failure = await switchover.RunAsync(session);
            if (failure == null)
            {
                Note(session, $"SWITCHOVER '{switchover.Database}': the primary is {switchover.Target}");
                session.Complete("SWITCHOVER");
            }
            else
            {
                Note(session, $"SWITCHOVER '{switchover.Database}' failed: {failure}");
                session.Error((session.IsCanceled ? ConsoleErrors.SwitchCanceled : ConsoleErrors.CannotSwitch).Fields(failure));
            }
        }
        finally
        {
            switchover.End();
        }
    }

    private static void Note(ConsoleSession session, string text) => session.Console.Log.Note(text);

    /// <summary>By name where that is one host's only, or with its port.</summary>
    private static int? Find(ClusterConfig config, string text)
    {
        int[] found = [.. Enumerable.Range(0, config.Hosts.Length).Where(i => config.Hosts[i].Name == text || $"{config.Hosts[i].Name}:{config.Hosts[i].Port}" == text)];
        return found.Length == 1 ? found[0] : null;
    }

    private static string? Refusal(ClusterState state, int target)
    {
        HostState host = state.Hosts[target];
        return state.WritablePrimary == null ? "there is no primary to switch over from"
            : target == state.Primary ? $"{host.Address} is the primary"
            : host is not { IsUp: true, Role: HostRole.Replica } ? $"{host.Address} is no replica that answers (SHOW HOSTS)"
            : host.Facts is { IsPaused: true } ? $"{host.Address} does not replay: pg_wal_replay_pause()"
            : host.Lag == null ? $"{host.Address}: its lag is not known (SHOW HOSTS)"
            : null;
    }
}
