using System.Diagnostics;

namespace Pooler.Monitoring;

/// <summary>What the system knows of the process (Linux: /proc).</summary>
internal static class ProcessFacts
{
    /// <summary>Seconds since 1970.</summary>
    public static double StartTime { get; } = ReadStartTime();

    public static double CpuSeconds => Environment.CpuUsage.TotalTime.TotalSeconds;

    public static int OpenDescriptors => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();

    /// <summary>The soft limit; infinity where there is none.</summary>
    public static double MostDescriptors
    {
        get
        {
            string line = File.ReadLines("/proc/self/limits").First(static l => l.StartsWith("Max open files", StringComparison.Ordinal));
            return double.TryParse(line["Max open files".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], out double limit) ? limit : double.PositiveInfinity;
        }
    }

    private static double ReadStartTime()
    {
        using var self = Process.GetCurrentProcess();
        return (self.StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds;
    }
}
