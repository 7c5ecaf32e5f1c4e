using System.Globalization;

namespace Pooler.LoadGenerator;

/// <summary>CPU time (with that of its children: Pgpool-II has one for each client) and memory of a process, as /proc shows them.</summary>
internal sealed class ProcessWatch(int pid)
{
    // USER_HZ: what /proc counts in, on every architecture .NET runs on.
    private const double TickMicroseconds = 10_000;

    private (double User, double System) _start;

    /// <summary>The process named by --watch, or null.</summary>
    public static ProcessWatch? From(Options options)
    {
        int pid = options.Number("watch", 0);
        return pid == 0 ? null : new ProcessWatch(pid);
    }

    public static ProcessWatch Self { get; } = new(Environment.ProcessId);

    /// <summary>Resident memory in kilobytes.</summary>
    public long ResidentKilobytes => StatusNumber("VmRSS:");

    public void Start() => _start = Cpu();

    /// <summary>Microseconds of CPU since <see cref="Start"/>, all threads.</summary>
    public (double User, double System) Elapsed()
    {
        (double user, double system) = Cpu();
        return (user - _start.User, system - _start.System);
    }

    /// <summary>Adds what the watched process used since <see cref="Start"/>, for each unit of work done.</summary>
    public void AddTo(Report report, (double User, double System) used, double units, string unit)
    {
        report.Add($"cpu_us_per_{unit}", units == 0 ? 0 : (used.User + used.System) / units)
            .Add($"user_us_per_{unit}", units == 0 ? 0 : used.User / units)
            .Add(unit == "tx" && units > 0 ? "tx_per_busy_core" : "busy", units == 0 ? 0 : units * 1e6 / Math.Max(used.User + used.System, 1))
            .Add("cpu_us", used.User + used.System)
            .Add("rss_kb", ResidentKilobytes)
            .Add("peak_rss_kb", StatusNumber("VmHWM:"));
    }

    private (double User, double System) Cpu()
    {
        (double user, double system) = Cpu(Read("stat"));
        string children = $"/proc/{pid}/task/{pid}/children";
        if (File.Exists(children))
        {
            foreach (string child in File.ReadAllText(children).Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                (double childUser, double childSystem) = new ProcessWatch(int.Parse(child, CultureInfo.InvariantCulture)).Cpu();
                user += childUser;
                system += childSystem;
            }
        }

        return (user, system);
    }

    private static (double User, double System) Cpu(string stat)
    {
        // The name of the program, in brackets, may hold blanks: the fields are counted behind it.
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (Ticks(fields[11]), Ticks(fields[12]));

        static double Ticks(string field) => long.Parse(field, CultureInfo.InvariantCulture) * TickMicroseconds;
    }

    private long StatusNumber(string name)
    {
        foreach (string line in Read("status").Split('\n'))
        {
            if (line.StartsWith(name, StringComparison.Ordinal))
            {
                return long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
            }
        }

        return 0;
    }

    private string Read(string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/{file}");
        }
        catch (IOException)
        {
            throw new LoadException($"the watched process {pid} is gone");
        }
    }
}
