using Pooler.LoadGenerator;
using Pooler.LoadGenerator.Commands;
using Pooler.Net;

const string usage = """
    pooler-load COMMAND [--name value]…   prints one JSON object

    query   clients that ask one statement after the other
            --clients 16 --protocol simple|extended|prepared --statement "select 1" --warmup 0.5 --seconds 3
            --transactions N (end after that many instead) --think-ms 0 --rate N (a second, of all clients together: latency
            counts from when a transaction was due)
    idle    a crowd that logs in and then does nothing; at the end each asks one statement
            --clients 5000 --hold-seconds 2 (0: until standard input ends)
    login   a storm of logins: connect, log in, Terminate
            --clients 8 (at once) --logins 2000
    copy    COPY streams
            --direction out|in --clients 1 --row-bytes 100 --table load_copy (in) --warmup 0.5 --seconds 3
    mixed   query's clients beside endless COPY streams; options of query, and --streams 4 --row-bytes 1000
    split   opens 2 × N clients one after the other and keeps the even ones and a few of the odd ones, so that a pooler
            which deals them out in turn has a full I/O thread and an almost idle one; latencies of both groups
            --clients 190 --others 10; options of query
    pgbench the program of that name in the place of our own clients
            --program pgbench --file SCRIPT --protocol simple|extended|prepared --clients 16 --seconds 3
    serve   a server that answers every query from memory
            --port 5432
    start   a server program, until its port answers, and then its end
            --run "PROGRAM ARGUMENT…"
    summary tables of what the commands above have printed, line by line, told apart by their tags section, contender, round
            --file RESULTS --json FILE (the same as JSON) --svg FILE (a picture of the section main)

    all     --tls 1 --password TEXT (SCRAM-SHA-256)
            --host 127.0.0.1 (or the folder of a Unix socket) --port 5432 --user postgres --database postgres
            --parallel 32 (logins at once) --limit-seconds 60 (for logins, and for answers outstanding at the end)
            --watch PID (its CPU time and resident memory over the measured part)
            --tags name=value,… (go into the result)
    Only servers that ask for no password, or for one by SCRAM-SHA-256.
    """;

if (args.Length == 0 || args[0] is "-h" or "--help")
{
    Console.WriteLine(usage);
    return args.Length == 0 ? 2 : 0;
}

Syscalls.RaiseDescriptorLimit();
string tags = "";
try
{
    var options = new Options(args.AsSpan(1));
    tags = options.Text("tags", "");
    if (args[0] == "summary")
    {
        SummaryCommand.Run(options);
        return 0;
    }

    if (args[0] == "serve")
    {
        ServeCommand.Run(options);
        return 0;
    }

    Report report = args[0] switch
    {
        "query" => QueryCommand.Run(options),
        "idle" => IdleCommand.Run(options),
        "login" => LoginCommand.Run(options),
        "copy" => CopyCommand.Run(options),
        "mixed" => MixedCommand.Run(options),
        "split" => SplitCommand.Run(options),
        "pgbench" => PgbenchCommand.Run(options),
        "start" => StartCommand.Run(options),
        _ => throw new LoadException($"unknown command {args[0]}"),
    };
    Console.WriteLine(report.ToJson(args[0], tags));
    return 0;
}
catch (LoadException e)
{
    Console.Error.WriteLine("pooler-load: " + e.Message);
    if (tags.Length > 0)
    {
        Console.WriteLine(new Report().Add("failed", e.Message).ToJson(args[0], tags));
    }

    return 1;
}
