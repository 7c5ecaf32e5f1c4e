using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text;
using Pooler.Config;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Session;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// One client of the console. It speaks the simple protocol only, one command a message (PgBouncer, src/admin.c). While a command
/// runs its client is not read; only that it hangs up is seen.
/// </summary>
internal sealed class ConsoleSession(AdminConsole console, Connection client, ClientIdentity identity, bool isAdmin, PoolStats stats)
{
    /// <summary>The PgBouncer whose console this is.</summary>
    public const string Dialect = "1.25.2";

    private static readonly FrozenDictionary<string, ConsoleCommand> Commands = new Dictionary<string, ConsoleCommand>
    {
        ["disable"] = new Disable("DISABLE", isDisabled: true),
        ["enable"] = new Disable("ENABLE", isDisabled: false),
        ["kill"] = new Kill(),
        ["kill_client"] = new KillClient(),
        ["pause"] = new Pause(),
        ["reconnect"] = new Reconnect(),
        ["reload"] = new Reload(),
        ["resume"] = new Resume(),
        ["select"] = new Show(),
        ["show"] = new Show(),
        ["shutdown"] = new ShutdownCommand(),
        ["suspend"] = new Suspend(),
        ["switchover"] = new SwitchoverCommand(),
        ["wait_close"] = new WaitClose(),
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    private readonly Set _set = new();
    private byte[] _secret = [];
    private string _text = "";

    public AdminConsole Console => console;

    public Connection Client => client;

    public ClientIdentity Identity => identity;

    public bool IsAdmin => isAdmin;

    /// <summary>The process id of its BackendKeyData.</summary>
    public int Key { get; private set; }

    /// <summary>Thread clock, microseconds.</summary>
    public long ConnectedAt { get; } = client.Owner.Now;

    public long RequestedAt { get; private set; } = client.Owner.Now;

    /// <summary>A CancelRequest with this session's key came: a waiting command gives up.</summary>
    public bool IsCanceled { get; private set; }

    private MessageWriter Writer => new(client.Outbox);

    public int ChooseKey()
    {
        CancelKey key = console.Clients.Keys.New();
        _secret = console.Clients.Keys.SecretOf(key, isLong: false);
        return Key = key.ProcessId;
    }

    public void Start() => _ = RunAsync();

    /// <summary>A CancelRequest, on the session's own thread; one with another secret does nothing.</summary>
    public void Cancel(byte[] secret)
    {
        if (!client.IsClosed && CryptographicOperations.FixedTimeEquals(secret, _secret))
        {
            IsCanceled = true;
            client.Input.Wake();
        }
    }

    public void Complete(string tag) => Writer.WriteCommandComplete(tag);

    public void Error(string message, string sqlState = "08P01") => Writer.WriteErrorResponse("ERROR", sqlState, message);

    public void Notice(string message) => Writer.WriteNotice("NOTICE", "00000", message);

    /// <summary>PgBouncer's answer to what it does not understand.</summary>
    public void Invalid() => Error($"invalid command '{_text}', use SHOW HELP;");

    private async Task RunAsync()
    {
        string reason = "client unexpected eof";
        try
        {
            Welcome();
            reason = await ServeAsync() ?? reason;
        }
        catch (Exception e)
        {
            IoThread.Defect($"Console: {e}");
            reason = Fatal("internal error", "XX000");
        }

        console.Left(this);
        if (console.Live.Current.Get(Settings.LogDisconnections))
        {
            string name = ClientIdentity.LogName(client, identity, console.Live.Current.Get(Settings.ListenPort));
            console.Log.ClientClosing(name, reason, (client.Owner.Now - ConnectedAt) / 1_000_000);
        }

        if (client.Input.IsEnded)
        {
            client.Close();
            client.Input.Complete();
        }
        else
        {
            client.CloseGracefully();
        }
    }

    /// <summary>What PgBouncer says of itself at login (src/admin.c, admin_setup; recorded).</summary>
    private void Welcome()
    {
        stats.Logins++;
        Writer.WriteParameterStatus("server_version", $"{Dialect}/bouncer");
        Writer.WriteParameterStatus("client_encoding", "UTF8");
        Writer.WriteParameterStatus("server_encoding", "UTF8");
        Writer.WriteParameterStatus("DateStyle", "ISO");
        Writer.WriteParameterStatus("TimeZone", "GMT");
        Writer.WriteParameterStatus("standard_conforming_strings", "on");
        Writer.WriteParameterStatus("is_superuser", "on");
        Writer.WriteBackendKeyData(Key, _secret);
        Writer.WriteReadyForQuery((byte)'I');
    }

    /// <summary>Why it ended; null when the client has just gone.</summary>
    private async ValueTask<string?> ServeAsync()
    {
        ConnectionInput input = client.Input;
        while (true)
        {
            client.Outbox.Flush();
            while (client.Outbox.Pending > 0 && !input.IsEnded)
            {
                client.Outbox.WakeWhenDrained(input);
                await input.ParkAsync();
            }

            if (TryTakeFrame(out byte type, out string text, out string? problem))
            {
                if (type != FrontendMessage.Query)
                {
                    return Leave(type);
                }

                await RunAsync(text);
                Writer.WriteReadyForQuery((byte)'I');
            }
            else if (problem != null)
            {
                return Fatal(problem);
            }
            else if (input.IsEnded)
            {
                return null;
            }
            else
            {
                await input.WaitAsync();
            }
        }
    }

    private bool TryTakeFrame(out byte type, out string text, out string? problem)
    {
        ReadOnlySpan<byte> data = client.Input.Unread;
        type = 0;
        text = "";
        problem = null;
        long length = data.Length >= FrameHeader.Size ? FrameHeader.FrameLength(data) : FrameHeader.Size;
        if (length is 0 or > BlockPool.BlockSize)
        {
            problem = "invalid or too long message for admin console";
            return false;
        }

        if (data.Length < length)
        {
            client.Input.Advance(0);
            return false;
        }

        type = data[0];
        ReadOnlySpan<byte> body = data[FrameHeader.Size..(int)length];
        int end = body.IndexOf((byte)0);
        if (type == FrontendMessage.Query && end < 0)
        {
            problem = "incomplete query";
            return false;
        }

        text = end < 0 ? "" : Encoding.UTF8.GetString(body[..end]);
        client.Input.Advance((int)length);
        return true;
    }

    private async ValueTask RunAsync(string text)
    {
        _text = text;
        IsCanceled = false;
        RequestedAt = client.Owner.Now;
        stats.Queries++;
        stats.Transactions++;
        if (ConsoleStatement.Parse(text) is not { } statement)
        {
            Invalid();
            return;
        }

        if (statement.IsTooLong)
        {
            Error("bad arguments");
            return;
        }

        ConsoleCommand? command = statement.IsSet ? _set : Commands.GetValueOrDefault(statement.Word);
        if (command == null)
        {
            Invalid();
        }
        else if (command.IsAdminOnly && !isAdmin)
        {
            Error("admin access needed");
        }
        else
        {
            await command.RunAsync(this, statement);
        }
    }

    /// <summary>Any message but Query ends the session (src/admin.c, admin_handle_client).</summary>
    private string Leave(byte type)
    {
        switch (type)
        {
            case FrontendMessage.Terminate:
                return "client close request";
            case FrontendMessage.Parse or FrontendMessage.Bind or FrontendMessage.Execute:
                Error("extended query protocol not supported by admin console");
                Writer.WriteReadyForQuery((byte)'I');
                return Fatal("bad packet");
            default:
                return Fatal($"unsupported packet type for admin console: {(type is > 31 and < 127 ? (char)type : '?')}");
        }
    }

    private string Fatal(string message, string sqlState = "08P01")
    {
        Writer.WriteErrorResponse("FATAL", sqlState, message);
        return message;
    }
}
