using System.Diagnostics;

namespace Pooler.IntegrationTests.Harness;

/// <summary>Runs PostgreSQL's own clients, and other short commands, to their end.</summary>
internal static class CommandLine
{
    internal sealed record Result(int ExitCode, string Output, string Error)
    {
        public override string ToString() => $"exit status {ExitCode}\n{Output}\n{Error}";
    }

    public static Task<Result> PsqlAsync(string connectionString, params string[] commands) =>
        RunAsync(Path.Combine(PostgresCluster.Programs, "psql"),
            ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", connectionString, .. commands.SelectMany(static text => new[] { "-c", text })]);

    public static Task<Result> PgbenchAsync(string connectionString, params string[] arguments) =>
        RunAsync(Path.Combine(PostgresCluster.Programs, "pgbench"), [.. arguments, connectionString]);

    public static async Task<Result> RunAsync(string program, IEnumerable<string> arguments, TimeSpan? limit = null)
    {
        TimeSpan patience = limit ?? Patience.Long;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (string name in start.Environment.Keys.Where(static name => name.StartsWith("PG", StringComparison.Ordinal)).ToArray())
            start.Environment.Remove(name);
        start.Environment["LC_ALL"] = "C";

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        using var timeout = new CancellationTokenSource(patience);
        try
        {
            await process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new TimeoutException($"{program} did not end within {patience.TotalSeconds:0} s\n{await output}\n{await error}");
        }

        return new Result(process.ExitCode, (await output).TrimEnd('\n'), (await error).TrimEnd('\n'));
    }
}
