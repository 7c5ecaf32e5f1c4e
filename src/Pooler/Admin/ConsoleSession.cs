using System.Security.Cryptography;
using System.Text;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Pooling;
using Pooler.Protocol;
using Pooler.Session;
using Pooler.Telemetry;

namespace Pooler.Admin;

/// <summary>
/// One client of the console: one command a message (PgBouncer, src/admin.c), over the simple protocol or the extended one
/// (<see cref="ConsoleExtended"/>). While a command runs its client is not read; only that it hangs up is seen.
/// </summary>
internal sealed class ConsoleSession(AdminConsole console, Connection client, ClientIdentity identity, bool isAdmin, PoolStats stats)
{
    /// <summary>The PgBouncer whose console this is.</summary>
    public const string Dialect = "1.25.2";

    private byte[] _secret = [];
    private string _text = "";
    private ConsoleExtended? _extended;
    private ConsolePortal? _portal;
    private bool _isKilled;

    public AdminConsole Console => console;

    public Connection Client => client;

    public ClientIdentity Identity => identity;

    public bool IsAdmin => isAdmin;

    public string ApplicationName { get; init; } = "";

    /// <summary>The process id of its BackendKeyData.</summary>
    public int Key { get; private set; }

    /// <summary>Thread clock, microseconds.</summary>
    public long ConnectedAt { get; } = client.Owner.Now;

    public long RequestedAt { get; private set; } = client.Owner.Now;

    /// <summary>A CancelRequest with this session's key came, or KILL_CLIENT: a waiting command gives up.</summary>
    public bool IsCanceled { get; private set; }

    /// <summary>Statements prepared by name.</summary>
    public int PreparedStatements => _extended?.Statements ?? 0;

    private string LogName => ClientIdentity.LogName(client, identity, console.Live.Current.Get(Settings.ListenPort));

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

    /// <summary>KILL_CLIENT, on the session's own thread.</summary>
    public void EndByForce()
    {
        IsCanceled = _isKilled = true;
        client.Input.Wake();
    }

    /// <summary>The rows of a command.</summary>
    public void Send(Table table)
    {
        if (_portal != null)
        {
            _portal.Take(table);
            return;
        }

        Writer.WriteRowDescription(table.Columns.AsSpan());
        client.Outbox.Append(table.Rows.Span);
    }

    public void Complete(string tag)
    {
        if (_portal != null)
        {
            _portal.Complete(tag);
            return;
        }

        Writer.WriteCommandComplete(tag);
    }

    public void Error(ErrorFields error)
    {
        if (console.Live.Current.Get(Settings.LogPoolerErrors))
        {
            console.Log.PoolerError(LogName, error.Message);
        }

        ErrorTrail.Write(client, error);
        _extended?.Fail();
    }

    public void Notice(string message) => Writer.WriteNotice("NOTICE", "00000", message);

    /// <summary>PgBouncer's answer to what it does not understand.</summary>
    public void Invalid() => Error(ConsoleRequest.Invalid(_text));

    /// <param name="portal">Takes the answer; null: it goes to the client.</param>
    public async ValueTask ExecuteAsync(ConsoleRequest request, ConsolePortal? portal = null)
    {
        _text = request.Text;
        _portal = portal;
        IsCanceled = _isKilled;
        RequestedAt = client.Owner.Now;
        stats.Queries++;
        stats.Transactions++;
        if (request.Command.IsInvalid(request.Statement))
        {
            Invalid();
        }
        else if (request.Command.IsAdminOnly && !isAdmin)
        {
            Error(ConsoleErrors.AdminNeeded.Fields());
        }
        else
        {
            await request.Command.RunAsync(this, request.Statement);
        }

        _portal = null;
    }

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
            reason = Fatal(LoginErrors.Internal.Fields());
        }

        console.Left(this);
        if (console.Live.Current.Get(Settings.LogDisconnections))
        {
            console.Log.ClientClosing(LogName, reason, (client.Owner.Now - ConnectedAt) / 1_000_000);
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

            if (_isKilled)
            {
                return Fatal(SessionErrors.KilledByAdmin.Because("KILL_CLIENT was given."));
            }

            if (TryTakeFrame(out byte type, out byte[] body, out ErrorFields? problem))
            {
                if (ConsoleExtended.IsOwn(type))
                {
                    _extended ??= new ConsoleExtended(this);
                    await _extended.TakeAsync(type, body);
                }
                else if (type == FrontendMessage.Terminate || _extended is not { IsSkipping: true })
                {
                    if (type != FrontendMessage.Query)
                    {
                        return Leave(type);
                    }

                    int end = Array.IndexOf(body, (byte)0);
                    if (end < 0)
                    {
                        return Fatal(ConsoleErrors.IncompleteQuery.Fields());
                    }

                    await QueryAsync(Encoding.UTF8.GetString(body, 0, end));
                    Writer.WriteReadyForQuery((byte)'I');
                }
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

    private bool TryTakeFrame(out byte type, out byte[] body, out ErrorFields? problem)
    {
        ReadOnlySpan<byte> data = client.Input.Unread;
        type = 0;
        body = [];
        problem = null;
        long length = data.Length >= FrameHeader.Size ? FrameHeader.FrameLength(data) : FrameHeader.Size;
        if (length is 0 or > BlockPool.BlockSize)
        {
            problem = ConsoleErrors.TooLong.Fields();
            return false;
        }

        if (data.Length < length)
        {
            client.Input.Advance(0);
            return false;
        }

        type = data[0];
        body = data[FrameHeader.Size..(int)length].ToArray();
        client.Input.Advance((int)length);
        return true;
    }

    private async ValueTask QueryAsync(string text)
    {
        _extended?.Forget();
        if (ConsoleRequest.Read(text, out ErrorFields? problem) is { } request)
        {
            await ExecuteAsync(request);
        }
        else
        {
            Error(problem!);
        }

        _extended?.Recover();
    }

    /// <summary>What is neither a Query nor of the extended protocol ends the session (src/admin.c, admin_handle_client).</summary>
    private string Leave(byte type)
    {
        if (type == FrontendMessage.Terminate)
        {
            return "client close request";
        }

        Error(ConsoleErrors.BadType.Fields(type));
        Writer.WriteReadyForQuery((byte)'I');
        return Fatal(ConsoleErrors.BadPacket.Fields());
    }

    private string Fatal(ErrorFields error)
    {
        ErrorTrail.Write(client, error);
        return error.Message;
    }
}
