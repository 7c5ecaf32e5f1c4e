using System.Security.Cryptography;
using System.Text;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// The conversation from startup packet to the first ReadyForQuery (PostgreSQL documentation, 55.2.1). Leaves the server's
/// parameters, cancel key and status on the connection, or closes it with the reason.
/// </summary>
internal sealed class ServerLogin(ServerConnection server)
{
    private enum Step
    {
        GoOn,
        DeriveKeys,
        Done,
        Failed,
    }

    // PostgreSQL reports some fifteen, extensions a few more.
    private const int MaxParameters = 128;

    private ScramClient? _scram;
    private bool _authenticated;

    private MessageWriter Writer => new(server.Outbox);

    public async ValueTask RunAsync()
    {
        ConnectionInput input = server.Socket.Input;
        SendStartup();
        while (true)
        {
            await input.ReadAsync();
            Step step = Step.GoOn;
            while (step == Step.GoOn && TryTakeFrame(input, out step))
            {
            }

            if (step == Step.DeriveKeys)
            {
                await AnswerChallengeAsync();
                step = Step.GoOn;
            }

            server.Outbox.Flush();
            if (step != Step.GoOn)
            {
                return;
            }

            if (input.IsEnded || server.Socket.IsClosed)
            {
                Fail("server conn crashed?", "08006");
                return;
            }
        }
    }

    private void SendStartup()
    {
        ServerTarget target = server.Target;
        var parameters = new List<StartupParameter> { new("user", target.User), new("database", target.Database) };
        parameters.AddRange(target.StartupValues.Select(v => new StartupParameter(v.Key, v.Value)));
        Writer.WriteStartup(3 << 16, [.. parameters]);
        server.Outbox.Flush();
    }

    /// <summary>Handles one whole frame, if it is there.</summary>
    private bool TryTakeFrame(ConnectionInput input, out Step step)
    {
        step = Step.GoOn;
        ReadOnlySpan<byte> data = input.Unread;
        if (data.Length < FrameHeader.Size)
        {
            input.Advance(0);
            return false;
        }

        // Nothing of a login is longer than a block; what is, is refused (a ParameterStatus of 1 GB is an attack).
        long length = FrameHeader.FrameLength(data);
        if (length > BlockPool.BlockSize || !BackendFrame.IsPossible(data[0], length))
        {
            step = Fail(BackendFrame.Problem(data), "08P01");
            return false;
        }

        if (data.Length < length)
        {
            input.Advance(0);
            return false;
        }

        step = Handle(data[0], data[FrameHeader.Size..(int)length]);
        if (step is not Step.Failed)
        {
            input.Advance((int)length);
        }

        return true;
    }

    private Step Handle(byte type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case BackendMessage.Authentication:
                return Authenticate(body);
            case BackendMessage.ErrorResponse:
                ErrorFields error = ErrorFields.Parse(body);
                server.Close(error with { Severity = "FATAL" });
                return Step.Failed;
            case BackendMessage.NoticeResponse or BackendMessage.NegotiateProtocolVersion:
                return Step.GoOn;
        }

        // Whoever speaks before it has proved itself is not believed (mutual authentication, CVE-2024-10977 alike).
        if (!_authenticated)
        {
            return Fail($"unexpected message {BackendFrame.Describe(type)} from server before authentication ended", "08P01");
        }

        switch (type)
        {
            case BackendMessage.ParameterStatus:
                return RecordParameter(body);
            case BackendMessage.BackendKeyData when body.Length is > 4 and <= 260:
                server.ProcessId = System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(body);
                server.CancelSecret = body[4..].ToArray();
                return Step.GoOn;
            case BackendMessage.ReadyForQuery when body.Length == 1 && body[0] == 'I':
                server.Status = body[0];
                server.RememberLogin();
                return Step.Done;
            case BackendMessage.BackendKeyData:
                return Fail("malformed BackendKeyData from server", "08P01");
            case BackendMessage.ReadyForQuery:
                return Fail("malformed ReadyForQuery from server at login", "08P01");
            default:
                return Fail($"unexpected message {BackendFrame.Describe(type)} from server at login", "08P01");
        }
    }

    private Step RecordParameter(ReadOnlySpan<byte> body)
    {
        if (server.Welcome.Count >= MaxParameters)
        {
            return Fail($"server reports more than {MaxParameters} parameters at login", "08P01");
        }

        server.Record(body, out _);
        if (server.Failure != null)
        {
            return Step.Failed;
        }

        int end = body.IndexOf((byte)0);
        server.Welcome.Add(new(Encoding.UTF8.GetString(body[..end]), Encoding.UTF8.GetString(body[(end + 1)..^1])));
        return Step.GoOn;
    }

    private Step Authenticate(ReadOnlySpan<byte> body)
    {
        if (!AuthenticationRequest.TryParse(body, out AuthenticationRequest request) || _authenticated)
        {
            return Fail("malformed authentication request from server", "08P01");
        }

        string secret = server.Target.Secret ?? "";
        if (_scram != null && request.Kind is not (AuthenticationKind.SaslContinue or AuthenticationKind.SaslFinal or AuthenticationKind.Ok))
        {
            return Fail("server asked for another authentication in the middle of SCRAM", "08P01");
        }

        switch (request.Kind)
        {
            case AuthenticationKind.Ok:
                if (_scram is { ServerVerified: false })
                {
                    return Fail("server accepted the login without proving that it knows the password", "28000");
                }

                _authenticated = true;
                return Step.GoOn;
            case AuthenticationKind.CleartextPassword when IsPlain(secret):
                Writer.WritePassword(secret);
                return Step.GoOn;
            case AuthenticationKind.Md5Password when Md5Password.IsHash(secret) || IsPlain(secret):
                byte[] password = Encoding.UTF8.GetBytes(secret), user = Encoding.UTF8.GetBytes(server.Target.User);
                Writer.WritePassword(Md5Password.Respond(Md5Password.IsHash(secret) ? secret : Md5Password.Hash(password, user), request.Data));
                return Step.GoOn;
            case AuthenticationKind.Sasl when IsPlain(secret) && request.Offers("SCRAM-SHA-256"u8):
                _scram = new ScramClient();
                Writer.WriteSaslInitialResponse(ScramServer.Mechanism, _scram.ClientFirst);
                return Step.GoOn;
            case AuthenticationKind.SaslContinue when _scram != null:
                return _scram.TryReadChallenge(request.Data, out string problem) ? Step.DeriveKeys : Fail($"SASL: {problem}", "08P01");
            case AuthenticationKind.SaslFinal when _scram != null:
                return _scram.TryVerifyServer(request.Data, out problem) ? Step.GoOn : Fail($"SASL: {problem}", "28000");
            default:
                return Fail(
                    $"cannot do {request.Kind} authentication to the server as user \"{server.Target.User}\": "
                    + (secret.Length == 0 ? "no password in auth_file or in the database's password=" : "the stored secret does not fit; store the plain password"),
                    "28000");
        }
    }

    /// <summary>PBKDF2 with the server's iteration count may take long: it runs on the thread pool.</summary>
    private async ValueTask AnswerChallengeAsync()
    {
        byte[] password = Encoding.UTF8.GetBytes(server.Target.Secret!);
        ScramKeys keys = await Offload.Run(
            server.Socket,
            static s => ScramKeys.Derive(s.Password, s.Salt, s.Iterations),
            (Password: password, Salt: _scram!.Salt.ToArray(), _scram.Iterations));
        CryptographicOperations.ZeroMemory(password);
        Writer.WriteSaslResponse(_scram.BuildFinal(keys));
    }

    private Step Fail(string message, string sqlState)
    {
        server.Close(message, sqlState);
        return Step.Failed;
    }

    private static bool IsPlain(string secret) =>
        secret.Length > 0 && !Md5Password.IsHash(secret) && !ScramVerifier.TryParse(secret, out _);
}
