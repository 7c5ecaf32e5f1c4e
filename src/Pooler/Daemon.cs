using System.Diagnostics;
using Pooler.Net;

namespace Pooler;

/// <summary>
/// -d: a process of .NET cannot fork, so it starts itself once more, in a session of its own, and ends when that one is up. What is
/// wrong with the start is told on the terminal; only then standard input and output are let go.
/// </summary>
internal static class Daemon
{
    // Not of the form POOLER_…, which are settings.
    private const string Variable = "_POOLER_DAEMON";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    /// <summary>This is the process in the background.</summary>
    public static bool IsThisProcess { get; } = Environment.GetEnvironmentVariable(Variable) == "1";

    /// <summary>The exit status of the process on the terminal.</summary>
    public static int Start(string[] arguments, string pidFile)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, arguments) { UseShellExecute = false };
        start.Environment[Variable] = "1";
        using Process child = Process.Start(start)!;
        long since = Stopwatch.GetTimestamp();
        while (!child.HasExited && Stopwatch.GetElapsedTime(since) < Patience)
        {
            if (File.Exists(pidFile) && File.ReadAllText(pidFile).Trim() == child.Id.ToString(System.Globalization.CultureInfo.InvariantCulture))
            {
                return 0;
            }

            Thread.Sleep(20);
        }

        return 1;
    }

    public static void LeaveSession()
    {
        Environment.SetEnvironmentVariable(Variable, null); // What we start ourselves is nobody's daemon.
        Syscalls.NewSession();
    }

    public static void LetGoOfTerminal() => Syscalls.NullStandardStreams();
}
