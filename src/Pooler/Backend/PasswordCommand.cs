using System.Diagnostics;
using System.Text;
using Pooler.Net;

namespace Pooler.Backend;

/// <summary>
/// A password_command for one user of one host. /bin/sh runs it, as PostgreSQL has its restore_command run: such commands are pipes and
/// use variables. What a client may have chosen (the user, a database of the entry *) is never part of its text, only of its environment.
/// </summary>
internal sealed record PasswordCommand(string Text, string Entry, string User, TimeSpan Timeout, TimeSpan KeepTime)
{
    /// <summary>Bytes: no token is longer.</summary>
    private const int LongestOutput = 65_536;

    // A replaced byte would only show up as a failed login.
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>As a connection is made to it: a name, an address, or the directory of the Unix socket.</summary>
    public string Host { get; init; } = "";

    public int Port { get; init; }

    /// <summary>Runs it, on ordinary threads; it fails in its answer alone.</summary>
    public async Task<PasswordAnswer> RunAsync()
    {
        IoThread.MustNotBeHere();
        try
        {
            return await RunProcessAsync().ConfigureAwait(false);
        }
        catch (Exception fault) // Of whatever kind: who waits must be answered.
        {
            return Failed(fault.Message);
        }
    }

    /// <summary>The entry alone: what stands in the text is nobody's business.</summary>
    public override string ToString() => Entry;

    private async Task<PasswordAnswer> RunProcessAsync()
    {
        // Its standard error is ours, as with PostgreSQL's commands: what goes wrong stands in the log of the service.
        var start = new ProcessStartInfo("/bin/sh", ["-c", Text]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        (start.Environment["POOLER_HOST"], start.Environment["POOLER_PORT"]) = (Host, $"{Port}");
        (start.Environment["POOLER_USER"], start.Environment["POOLER_DATABASE"]) = (User, Entry);
        using Process process = Process.Start(start)!;
        using var deadline = new CancellationTokenSource();
        if (Timeout > TimeSpan.Zero)
        {
            deadline.CancelAfter(Timeout);
        }

        bool hasEnded = false;
        try
        {
            process.StandardInput.Close();
            byte[]? output = await ReadAsync(process.StandardOutput.BaseStream, deadline.Token).ConfigureAwait(false);
            if (output == null)
            {
                return Failed($"has printed more than {LongestOutput >> 10} kB");
            }

            await process.WaitForExitAsync(deadline.Token).ConfigureAwait(false);
            hasEnded = true;
            return process.ExitCode == 0 ? Read(output) : Failed($"has failed with exit status {process.ExitCode}");
        }
        catch (OperationCanceledException)
        {
            return Failed("has not ended within password_command_timeout");
        }
        finally
        {
            if (!hasEnded)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    /// <summary>All it prints; null when that is too much.</summary>
    private static async Task<byte[]?> ReadAsync(Stream stream, CancellationToken deadline)
    {
        byte[] output = new byte[LongestOutput + 1];
        int length = 0;
        while (length < output.Length && await stream.ReadAsync(output.AsMemory(length), deadline).ConfigureAwait(false) is > 0 and int read)
        {
            length += read;
        }

        return length < output.Length ? output[..length] : null;
    }

    private PasswordAnswer Read(ReadOnlySpan<byte> output)
    {
        output = output.EndsWith("\r\n"u8) ? output[..^2] : output.EndsWith("\n"u8) ? output[..^1] : output;
        try
        {
            return output.IsEmpty ? Failed("has printed nothing")
                : output.Contains((byte)0) ? Failed("has printed what is no text")
                : new PasswordAnswer(s_strict.GetString(output), null);
        }
        catch (DecoderFallbackException)
        {
            return Failed("has printed what is no text");
        }
    }

    private PasswordAnswer Failed(string problem) =>
        new(null, $"password_command of \"{Entry}\" {problem}; run it by hand as the user of this process");
}
