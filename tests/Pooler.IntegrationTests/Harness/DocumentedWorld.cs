using System.Text;
using System.Text.RegularExpressions;

namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// What a page of the documentation takes for granted, so that its commands run as they stand there: a network of its own, in which db1, db2
/// and db3 are PostgreSQLs on port 5432 (a primary and, if the page speaks of them, two replicas), `pooler` and PostgreSQL's programs on the PATH,
/// an empty folder. A page that does not start Pooler finds it running on port 6432. Name spaces end with their first
/// process, so nothing stays behind.
/// </summary>
public sealed partial class DocumentedWorld : IAsyncLifetime
{
    // All passwords of the pages, so that psql need not ask for them.
    private const string Password = "secret";

    private string _template = "";

    public async ValueTask InitializeAsync()
    {
        if (OrdinaryUser.Name is null)
            return; // The tests are skipped.
        _template = OrdinaryUser.CreateFolder();
        await using ChildProcess initdb = ChildProcess.Start(_template, Path.Combine(PostgresCluster.Programs, "initdb"),
            "-D", Path.Combine(_template, "data"), "-U", PostgresCluster.Superuser, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions");
        Assert.True(await initdb.WaitForExitAsync(Patience.Long) && initdb.ExitCode == 0, initdb.Log);
        await File.WriteAllTextAsync(Path.Combine(_template, "data", "pg_hba.conf"), """
            host all postgres,monitor 127.0.0.0/8 trust
            host replication all 127.0.0.0/8 trust
            host all all 127.0.0.0/8 scram-sha-256
            """ + "\n");
        await File.AppendAllTextAsync(Path.Combine(_template, "data", "postgresql.conf"), """
            unix_socket_directories = ''
            max_connections = 100
            fsync = off
            shared_buffers = '16MB'
            wal_keep_size = '128MB'
            wal_retrieve_retry_interval = '100ms'
            log_min_messages = fatal
            """ + "\n");
    }

    public ValueTask DisposeAsync()
    {
        if (_template.Length > 0)
            Directory.Delete(_template, recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>Runs the blocks of a page in their order in one bash, and compares what transcripts show with what came.</summary>
    internal async Task RunAsync(MarkdownPage page)
    {
        string folder = OrdinaryUser.CreateFolder();
        try
        {
            await PrepareAsync(folder);
            var transcripts = new List<(string Place, string Shown, string File)>();
            await File.WriteAllTextAsync(Path.Combine(folder, "page.sh"), Script(page, transcripts));
            // The ordinary user owns the folder, and is nobody else in it.
            string[] command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", Setup, "bash",
                _template, PoolerProcess.Binary, Repository.Folder, .. OrdinaryUser.Prefix, "bash", "page.sh"];
            await using ChildProcess bash = ChildProcess.StartAsWeAre(folder, command);
            bool ended = await bash.WaitForExitAsync(Patience.Long);
            Assert.True(ended && bash.ExitCode == 0, bash.Log);
            foreach ((string place, string shown, string file) in transcripts)
                AssertShows(place, shown, await File.ReadAllTextAsync(Path.Combine(folder, file)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // Sockets in /tmp are the page's own, too; binary and repository are there, even where the ordinary user may not go.
    private const string Setup = """
        set -e
        ip link set lo up
        mount --bind hosts /etc/hosts
        mount --bind "$1" template
        mount --bind "$2" artifacts/pooler/pooler
        mount --bind "$3/config" config
        mount --rbind . /mnt
        mount -t tmpfs -o mode=1777 tmpfs /tmp
        cd /mnt
        shift 3
        exec "$@"
        """;

    private static async Task PrepareAsync(string folder)
    {
        foreach (string name in (string[])["template", "config", "artifacts/pooler"])
            Directory.CreateDirectory(Path.Combine(folder, name));
        await File.WriteAllTextAsync(Path.Combine(folder, "artifacts", "pooler", "pooler"), "");
        await File.WriteAllTextAsync(Path.Combine(folder, "hosts"), "127.0.0.1 localhost db1\n127.0.0.2 db2\n127.0.0.3 db3\n");
        await File.WriteAllTextAsync(Path.Combine(folder, "prelude.sh"), $$"""
            set -eE
            unset "${!PG@}"
            export HOME=$PWD LC_ALL=C PATH=$PWD/artifacts/pooler:{{PostgresCluster.Programs}}:$PATH PGCONNECT_TIMEOUT=20 PSQLRC=/dev/null PAGER=cat
            trap 'echo "FAILED: $place: $BASH_COMMAND"; tail -n 20 *.log 2>/dev/null; exit 1' ERR
            # Passwords that psql would ask for.
            (umask 077; echo '*:*:*:*:{{Password}}' >.pgpass)
            host() { # host NUMBER: starts it, a replica of the first where it is not the first.
              cp -a template/data data$1
              if [ $1 != 1 ]; then
                touch data$1/standby.signal
                echo "primary_conninfo = 'host=db1 port=5432 user=postgres application_name=db$1'" >>data$1/postgresql.conf
              fi
              pg_ctl -D data$1 -s -w -l db$1.log -o "-c listen_addresses=127.0.0.$1 -c cluster_name=db$1" start
            }
            sql() { psql -q -v ON_ERROR_STOP=1 "$@"; }
            cat >userlist.txt <<END
            "app" "{{Password}}"
            "postgres" "{{Password}}"
            "monitor" "{{Password}}"
            "admin" "{{Password}}"
            END
            make_certificates() {
              [ -e server.crt ] || openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout server.key -out server.crt 2>/dev/null
            }
            """ + "\n");
    }

    private static string Script(MarkdownPage page, List<(string Place, string Shown, string File)> transcripts)
    {
        var script = new StringBuilder(". ./prelude.sh\nplace=start\n");
        bool asks = page.Blocks.Any(static b => b.Language is "console" or "sql" || (b.Language == "sh" && b.Purpose != "no-run"));
        if (asks)
            script.Append("host 1\n");
        if (page.Blocks.Any(static b => (b.Language is "sh" or "sql" || (b.Language == "ini" && b.Purpose.Length > 0)) && b.Text.Contains("db2", StringComparison.Ordinal)))
            script.Append("host 2\nhost 3\n");
        if (asks && !page.Blocks.Any(static b => b.Text.Contains("CREATE ROLE app", StringComparison.Ordinal)))
            script.Append(Roles);
        if (asks && !page.Blocks.Any(static b => b.Purpose == "background" || b.Text.Contains("pooler -d", StringComparison.Ordinal)))
            script.Append(Usual);
        foreach (MarkdownBlock block in page.Blocks)
        {
            script.Append($"place={block.Place}\n");
            switch (block.Language, block.Purpose)
            {
                case ("sh", ""):
                    script.Append(block.Text);
                    break;
                case ("sh", "background"):
                    script.Append($"{{ {block.Text}}} >>pooler.log 2>&1 &\nuntil (exec 3<>/dev/tcp/127.0.0.1/6432) 2>/dev/null; do kill -0 $!; done\n");
                    break;
                case ("ini", ""):
                    if (block.Text.Contains("_tls_", StringComparison.Ordinal))
                        script.Append("make_certificates\n");
                    Write(script, "fragment.ini", Complete(block.Text));
                    script.Append("pooler --check fragment.ini\n");
                    break;
                case ("ini" or "text", not ""):
                    Write(script, block.Purpose, block.Text);
                    break;
                case ("hba", _):
                    Write(script, "fragment.hba", block.Text);
                    Write(script, "fragment.ident", "people alice app\nops bob admin");
                    script.Append("make_certificates\n");
                    Write(script, "fragment.ini", ForHba);
                    script.Append("pooler --check fragment.ini\n");
                    break;
                case ("sql", _):
                    string address = block.Purpose switch
                    {
                        "server" => "host=db1 port=5432 user=postgres dbname=postgres",
                        "console" => "host=127.0.0.1 port=6432 user=admin dbname=pgbouncer",
                        _ => "host=127.0.0.1 port=6432 user=app dbname=app",
                    };
                    Write(script, "block.sql", block.Text);
                    script.Append($"sql -d '{address}' -f block.sql\n");
                    break;
                case ("console", _):
                    foreach (Match part in Transcript().Matches(block.Text))
                    {
                        string file = $"shown.{transcripts.Count}";
                        script.Append($"{{ {part.Groups[1].Value}\n}} >{file} 2>&1\n");
                        transcripts.Add((block.Place, part.Groups[2].Value, file));
                    }

                    break;
            }
        }

        return script.ToString();
    }

    private static void Write(StringBuilder script, string file, string text) => script.Append($"cat >{file} <<'END OF BLOCK'\n{text}\nEND OF BLOCK\n");

    /// <summary>Settings without a section are [pgbouncer]'s; paths that belong to the system are those of this folder.</summary>
    private static string Complete(string text) =>
        (text.StartsWith('[') ? text : "[pgbouncer]\n" + text).Replace("/etc/pooler/", "", StringComparison.Ordinal);

    // Each line shown is there; figures, blanks and the lengths of rules may be others. What a line that ends in … leaves out may be anything.
    private static void AssertShows(string place, string shown, string output)
    {
        var lines = output.Split('\n').Select(Even).ToList();
        int from = 0;
        foreach (string line in shown.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string even = Even(line);
            int at = even.EndsWith('…')
                ? lines.FindIndex(from, there => there.StartsWith(even[..^1].TrimEnd(), StringComparison.Ordinal))
                : lines.FindIndex(from, there => there == even);
            Assert.True(at >= 0, $"{place}: not shown: {line}\nbut:\n{output}");
            from = at + 1;
        }
    }

    private static string Even(string line) => Blanks().Replace(Rules().Replace(Figures().Replace(line, "#"), "-"), " ").Trim();

    /// <summary>What pages find that do not begin with nothing.</summary>
    private const string Roles = $$"""
        sql -h db1 -U postgres postgres -c "CREATE ROLE app LOGIN PASSWORD '{{Password}}'" -c 'CREATE DATABASE app OWNER app' \
          -c 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor' -c 'CREATE ROLE pooler_auth LOGIN'

        """;

    private const string Usual = """
        cat >usual.ini <<END
        [databases]
        app = host=db1 dbname=app
        postgres = host=db1
        [pgbouncer]
        listen_addr = 127.0.0.1
        auth_type = trust
        auth_file = userlist.txt
        admin_users = admin, postgres
        pool_mode = transaction
        pidfile = pooler.pid
        logfile = pooler.log
        END
        pooler -d -q usual.ini

        """;

    private const string ForHba = """
        [databases]
        app = host=db1
        [pgbouncer]
        auth_type = hba
        auth_hba_file = fragment.hba
        auth_ident_file = fragment.ident
        auth_file = userlist.txt
        client_tls_sslmode = allow
        client_tls_cert_file = server.crt
        client_tls_key_file = server.key
        client_tls_ca_file = server.crt
        oauth_issuer = https://id.example.com/realms/main
        oauth_audience = pooler
        """;

    [GeneratedRegex(@"^\$ (.*)\n((?:(?!\$ ).*\n)*)", RegexOptions.Multiline)]
    private static partial Regex Transcript();

    [GeneratedRegex(@"0x[0-9a-f]+|[0-9]+(\.[0-9]+)?")]
    private static partial Regex Figures();

    [GeneratedRegex(@"-+")]
    private static partial Regex Rules();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
