using Npgsql;
using Pooler.Backend;
using Pooler.Config;

namespace Pooler.Cluster;

/// <summary>How a cluster's monitor logs in to one of its hosts: as whom, with which password, and with TLS as towards servers.</summary>
internal sealed class MonitorLogin(ClusterConfig config, HostAddress host, ServerPasswords passwords)
{
    // What is right by auth_file or the entry needs no command.
    private readonly PasswordCommand? _command = config is { MonitorPassword: null, MonitorCommand: { } text }
        ? new PasswordCommand(text, config.Name, config.MonitorUser, config.MonitorCommandTimeout, config.MonitorCommandTtl)
        {
            Host = host.Name.Length == 0 ? config.UnixSocketDirectory : host.Name,
            Port = host.Port,
        }
        : null;

    private string? _printed;

    /// <summary>How a host is asked about itself and its database; the caller's deadlines are the ones.</summary>
    public static NpgsqlConnectionStringBuilder ConnectString(ClusterConfig config, HostAddress host) => new()
    {
        Host = host.Name.Length == 0 ? config.UnixSocketDirectory : host.Name,
        Port = host.Port,
        Database = config.DbName,
        Username = config.MonitorUser,
        Password = config.MonitorPassword,
        ApplicationName = "pooler monitor",
        SslMode = Npgsql.SslMode.Disable,
        Pooling = false,
        Timeout = 0,
        CommandTimeout = 0,
        CancellationTimeout = -1, // A host that does not answer does not answer a CancelRequest either.
    };

    /// <summary>Connections by this string, to the host of this name wherever the string's address is.</summary>
    public NpgsqlSlimDataSourceBuilder SourceOf(NpgsqlConnectionStringBuilder connect)
    {
        ServerTls? tls = config.Tls;
        bool isEncrypted = tls != null && tls.Mode != Config.SslMode.Disable && !host.IsUnixSocket;
        if (isEncrypted)
        {
            // Whom to believe is said by the callback alone.
            connect.SslMode = tls!.IsRequired ? Npgsql.SslMode.Require : Npgsql.SslMode.Prefer;
            connect.SslNegotiation = tls.IsDirect ? SslNegotiation.Direct : SslNegotiation.Postgres;
        }

        var source = new NpgsqlSlimDataSourceBuilder(connect.ConnectionString);
        if (isEncrypted)
        {
            source.EnableTransportSecurity().UseSslClientAuthenticationOptionsCallback(options => tls!.Complete(options, host.Name));
        }

        if (_command != null)
        {
            source.UsePasswordProvider(static _ => throw new NotSupportedException("connections are opened asynchronously"), (_, end) => AskAsync(_command, end));
        }

        return source;
    }

    /// <summary>The host has refused the password: the next login asks the command again.</summary>
    public void Refused()
    {
        if (_command != null && _printed != null)
        {
            passwords.Forget(_command, _printed);
        }
    }

    private async ValueTask<string> AskAsync(PasswordCommand command, CancellationToken end)
    {
        var told = new TaskCompletionSource<PasswordAnswer>(TaskCreationOptions.RunContinuationsAsynchronously);
        passwords.Ask(command, told.SetResult);
        PasswordAnswer answer = await told.Task.WaitAsync(end).ConfigureAwait(false);
        return _printed = answer.Password ?? throw new IOException(answer.Problem);
    }
}
