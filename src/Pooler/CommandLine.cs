namespace Pooler;

/// <summary>What the process was called with.</summary>
/// <param name="Problem">Not null: the words are off, and why.</param>
internal sealed record CommandLine(string? ConfigFile, bool CheckOnly, bool ShowHelp, bool ShowVersion, string? Problem)
{
    public const string Usage = """
        Usage: pooler [--check] FILE.ini
          --check         read the configuration, report every error in it, and end
          -V, --version   print the version and end
          -h, --help      print this and end
        Without FILE.ini the configuration comes from the environment alone (POOLER_LISTEN_PORT=6432,
        POOLER_DATABASES__app="host=… dbname=…", …).
        """;

    public static CommandLine Parse(string[] arguments)
    {
        var line = new CommandLine(null, false, false, false, null);
        foreach (string argument in arguments)
        {
            line = argument switch
            {
                "--check" => line with { CheckOnly = true },
                "-h" or "--help" => line with { ShowHelp = true },
                "-V" or "--version" => line with { ShowVersion = true },
                ['-', ..] => line with { Problem = $"unknown option {argument}" },
                _ when line.ConfigFile != null => line with { Problem = "only one configuration file can be given" },
                _ => line with { ConfigFile = argument },
            };
        }

        return line;
    }
}
