using System.Globalization;

namespace Pooler;

/// <summary>What the process was called with: PgBouncer's options (src/main.c), alone or several letters behind one dash.</summary>
/// <param name="Top">Not null: the live view is asked for, of the process at this address; empty: of the one that runs here.</param>
/// <param name="Problem">Not null: the words are off, and why.</param>
internal sealed record CommandLine(
    string? ConfigFile, bool CheckOnly, bool ShowHelp, bool ShowVersion, bool IsDaemon, bool IsQuiet, int Verbosity, string? User, string? Probe, string? Top, string? Problem)
{
    public const string Usage = """
        Usage: pooler [options] FILE.ini
               pooler top [http://HOST:PORT]   what goes on in a process, live: on 127.0.0.1, POOLER_HTTP_LISTEN_PORT or 9127
          -d, --daemon      run in the background (as a daemon); needs a pidfile
          -q, --quiet       write no log to standard error
          -u, --user=NAME   change to this system user; beats the setting
          -v, --verbose     log more; may be given several times
          --probe=PATH      ask the process that runs here, on POOLER_HTTP_LISTEN_PORT or 9127: healthz, readyz, startupz
          --check           read the configuration, report every error in it, and end
          -V, --version     print the version and end
          -h, --help        print this and end
        Without FILE.ini the configuration comes from the environment alone (POOLER_LISTEN_PORT=6432,
        POOLER_DATABASES__app="host=… dbname=…", POOLER_USERLIST__app_FILE=/run/secrets/app, …; docs/containers.md).
        """;

    private const string NoReboot =
        "-R (--reboot) is not supported: sockets are not taken over; to restart without a gap set so_reuseport = 1, start the new process and end the old one with SIGTERM";

    public static CommandLine Parse(string[] arguments)
    {
        var line = new CommandLine(null, false, false, false, false, false, 0, null, null, null, null);
        if (arguments is ["top", ..])
        {
            return arguments.Length > 2 ? line with { Problem = "top takes one address at most" } : line with { Top = arguments.ElementAtOrDefault(1) ?? "" };
        }

        for (int i = 0; i < arguments.Length && line.Problem == null; i++)
        {
            string argument = arguments[i];
            if (argument is "--user" or "-u")
            {
                line = ++i < arguments.Length ? line with { User = arguments[i] } : line with { Problem = $"{argument} needs a name" };
            }
            else
            {
                line = argument is ['-', not '-', ..] ? line.Letters(argument[1..]) : line.Word(argument);
            }
        }

        return line;
    }

    /// <summary>What the command line sets goes with the environment, so a RELOAD keeps it.</summary>
    public void AddTo(Dictionary<string, string> environment)
    {
        if (Verbosity > 0)
        {
            environment["POOLER_VERBOSE"] = Math.Min(Verbosity, 3).ToString(CultureInfo.InvariantCulture);
        }

        if (User != null)
        {
            environment["POOLER_USER"] = User;
        }
    }

    private CommandLine Letters(string letters)
    {
        CommandLine line = this;
        for (int i = 0; i < letters.Length && line.Problem == null; i++)
        {
            if (letters[i] == 'u' && i > 0)
            {
                return line with { Problem = "-u stands by itself, with a name behind it" };
            }

            if (letters[i] == 'u')
            {
                return line with { User = letters[1..] };
            }

            line = line.Option(letters[i], $"-{letters[i]}");
        }

        return line;
    }

    private CommandLine Word(string argument) => argument switch
    {
        "--check" => this with { CheckOnly = true },
        "--daemon" => Option('d', argument),
        "--help" => Option('h', argument),
        "--quiet" => Option('q', argument),
        "--reboot" => Option('R', argument),
        "--verbose" => Option('v', argument),
        "--version" => Option('V', argument),
        _ when argument.StartsWith("--user=", StringComparison.Ordinal) => this with { User = argument["--user=".Length..] },
        _ when argument.StartsWith("--probe=", StringComparison.Ordinal) => this with { Probe = argument["--probe=".Length..] },
        ['-', ..] => Option('-', argument),
        _ when ConfigFile != null => this with { Problem = "only one configuration file can be given" },
        _ => this with { ConfigFile = argument },
    };

    private CommandLine Option(char letter, string asWritten) => letter switch
    {
        'd' => this with { IsDaemon = true },
        'h' => this with { ShowHelp = true },
        'q' => this with { IsQuiet = true },
        'v' => this with { Verbosity = Verbosity + 1 },
        'V' => this with { ShowVersion = true },
        'R' => this with { Problem = NoReboot },
        _ => this with { Problem = $"unknown option {asWritten}" },
    };
}
