using System.Runtime.InteropServices;
using System.Text;

namespace Pooler.Monitoring;

/// <summary>The terminal: a screen of its own (ECMA-48, xterm's alternate screen), keys, and everything as it was at the end.</summary>
internal sealed class TopTerminal : IDisposable
{
    private const string Keys = "1–7 tables   ↑ ↓ scroll   space pauses   q ends";

    // Of Linux: SIGWINCH, SIGTSTP.
    private const int WindowChange = 28, Suspend = 20;

    private readonly bool _isPlain = Environment.GetEnvironmentVariable("NO_COLOR") is { Length: > 0 };
    private readonly PosixSignalRegistration[] _signals;
    private readonly Stream _output = Console.OpenStandardOutput();
    private readonly Lock _lock = new();
    private bool _isLeft;

    /// <param name="ended">Called when the process is asked to end.</param>
    /// <param name="resized">Called when the terminal has another size.</param>
    public TopTerminal(Action ended, Action resized)
    {
        _signals =
        [
            .. ((PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT]).Select(s => PosixSignalRegistration.Create(s, context =>
            {
                context.Cancel = true;
                ended();
            })),
            PosixSignalRegistration.Create((PosixSignal)Suspend, static context => context.Cancel = true), // The shell would be left with this screen.
            PosixSignalRegistration.Create((PosixSignal)WindowChange, _ => resized()),
        ];
        Write("\e[?1049h\e[?25l\e[?7l"); // Another screen, no cursor, no wrapping of lines.
    }

    /// <summary>Keys as they are pressed, from a thread of its own; ends with the process.</summary>
    public static void Listen(Action<ConsoleKeyInfo> pressed) => new Thread(() =>
    {
        try
        {
            while (true)
            {
                pressed(Console.ReadKey(intercept: true));
            }
        }
        catch (InvalidOperationException)
        {
            // Its input is no terminal: it is looked at without keys.
        }
    })
    { IsBackground = true, Name = "keys" }.Start();

    public void Draw(TopScreen screen, bool isPaused)
    {
        (int width, int height) = (Math.Max(20, Console.WindowWidth), Math.Max(5, Console.WindowHeight));
        var text = new StringBuilder("\e[?2026h\e[H"); // All at once where the terminal can; from the top.
        List<TopLine> lines = screen.Lines(width, height);
        foreach (TopLine line in lines.Take(height - 1))
        {
            text.Append(Begin(line.Style)).Append(line.Text).Append("\e[0m\e[K\r\n");
        }

        text.Append("\e[J\e[").Append(height).Append(";1H").Append(Begin(TopStyle.Faint)).Append(TopTable.Cut(isPaused ? $"paused   {Keys}" : Keys, width)).Append("\e[0m\e[K\e[?2026l");
        Write(text.ToString());
    }

    public void Dispose()
    {
        lock (_lock)
        {
            Write("\e[?7h\e[?25h\e[?1049l");
            _isLeft = true;
        }

        Array.ForEach(_signals, static s => s.Dispose());
    }

    private string Begin(TopStyle style) => _isPlain && style != TopStyle.Head ? "" : style switch
    {
        TopStyle.Head => "\e[1m",
        TopStyle.Faint => "\e[2m",
        TopStyle.Good => "\e[32m",
        TopStyle.Warning => "\e[33m",
        TopStyle.Bad => "\e[1;31m",
        _ => "",
    };

    private void Write(string text)
    {
        lock (_lock)
        {
            if (!_isLeft)
            {
                try
                {
                    _output.Write(Encoding.UTF8.GetBytes(text));
                }
                catch (IOException)
                {
                    _isLeft = true; // The window was closed.
                }
            }
        }
    }
}
