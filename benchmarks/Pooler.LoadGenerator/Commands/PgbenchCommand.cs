using System.Diagnostics;
using System.Globalization;

namespace Pooler.LoadGenerator.Commands;

/// <summary>Runs pgbench: a second opinion, from the clients everybody has.</summary>
internal static class PgbenchCommand
{
    public static Report Run(Options options)
    {
        string protocol = options.Text("protocol", "simple");
        int clients = options.Number("clients", 16);
        long seconds = Math.Max(options.Seconds("seconds", 3) / 1_000_000_000, 1);
        var start = new ProcessStartInfo(options.Text("program", "pgbench"),
        [
            "-n", "-h", options.Text("host", "127.0.0.1"), "-p", options.Text("port", "5432"), "-U", options.Text("user", "postgres"),
            "-M", protocol, "-c", $"{clients}", "-j", "1", "-T", $"{seconds}", "-f", options.Text("file", "select.sql"),
            options.Text("database", "postgres"),
        ]) { RedirectStandardOutput = true, RedirectStandardError = true };
        ProcessWatch? watch = ProcessWatch.From(options);
        options.EndOfOptions();

        watch?.Start();
        using Process process = Process.Start(start) ?? throw new LoadException("pgbench did not start");
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        (double User, double System) used = watch?.Elapsed() ?? default;
        if (process.ExitCode != 0)
        {
            throw new LoadException(errors.Result.Split('\n').FirstOrDefault(line => line.Contains("error", StringComparison.OrdinalIgnoreCase)) ?? "pgbench failed");
        }

        double transactions = Figure(output, "number of transactions actually processed: ");
        Report report = new Report().Add("protocol", protocol).Add("clients", clients).Add("transactions", transactions)
            .Add("tps", Figure(output, "tps = ")).Add("mean_us", Figure(output, "latency average = ") * 1000);
        watch?.AddTo(report, used, transactions, "tx");
        return report;
    }

    private static double Figure(string output, string name)
    {
        int at = output.IndexOf(name, StringComparison.Ordinal);
        string text = at < 0 ? "" : output[(at + name.Length)..].Split([' ', '\n', '/'], 2)[0];
        return double.TryParse(text, CultureInfo.InvariantCulture, out double value) ? value : throw new LoadException($"pgbench said nothing of \"{name}\"");
    }
}
