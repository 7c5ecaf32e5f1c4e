using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Backend;

/// <summary>
/// The conversation from startup packet to the first ReadyForQuery (PostgreSQL documentation, 55.2.1). Leaves the server's
/// parameters, cancel key and status on the connection, or closes it with the reason.
/// </summary>
/// <param name="minor">The 3.x to ask for.</param>
/// <param name="mayAskForPassword">The password is an earlier one: refused, it may have been replaced since.</param>
internal sealed class ServerLogin(ServerConnection server, int minor, bool mayAskForPassword)
{
    private enum Step
    {
        GoOn,
        DeriveKeys,
        Done,
        Failed,
        AskFor30,
        AskForPassword,
    }

    /// <summary>Bytes of a cancel key in BackendKeyData, from protocol 3.2 on.</summary>
    private const int LongestSecret = 256;

    // Some seconds; the 2^31 - 1 that a hostile server may ask for would be half an hour of a processor for each try (PostgreSQL has 4096).
    private const int MostIterations = 10_000_000;

    // PostgreSQL reports some fifteen, extensions a few more.
    private const int MaxParameters = 128;

    // One and the same for the whole login, whatever is learnt meanwhile.
    private readonly string _secret = server.Secret;
    private ScramClient? _scram;
    private ScramKeys? _clientKeys;
    private bool _authenticated, _hasSpoken;
    private int _minor = minor;

    private MessageWriter Writer => new(server.Outbox);

    public async ValueTask<LoginEnd> RunAsync()
    {
        ConnectionInput input = server.Socket.Input;
        SendStartup();
        while (true)
        {
            await input.WaitAsync();
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
                return step == Step.AskFor30 ? LoginEnd.AskFor30 : step == Step.AskForPassword ? LoginEnd.AskForPassword : LoginEnd.Settled;
            }

            if (input.IsEnded || server.Socket.IsClosed)
            {
                if (!_hasSpoken && _minor > 0 && server.Failure == null)
                {
                    return LoginEnd.AskFor30;
                }

                server.WasLost = true;
                Fail(ServerErrors.Crashed.Fields());
                return LoginEnd.Settled;
            }
        }
    }

    private void SendStartup()
    {
        ServerTarget target = server.Target;
        var parameters = new List<StartupParameter> { new("user", target.User), new("database", target.Database) };
        parameters.AddRange(target.StartupValues.Select(v => new StartupParameter(v.Key, v.Value)));
        if (server.IsReadOnly)
        {
            parameters.Add(new StartupParameter(SessionParameters.ReadOnlyName, "on")); // What RESET goes back to.
        }
        Writer.WriteStartup(StartupPacket.Version30 | _minor, [.. parameters]);
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
            step = Fail(ServerErrors.Violation.Fields(BackendFrame.Problem(data)));
            return false;
        }

        if (data.Length < length)
        {
            input.Advance(0);
            return false;
        }

        step = Handle(data[0], data[FrameHeader.Size..(int)length]);
        _hasSpoken = true;
        if (step is not (Step.Failed or Step.AskFor30 or Step.AskForPassword))
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
                if (!_hasSpoken && _minor > 0 && error.SqlState is "0A000" or "08P01")
                {
                    return Step.AskFor30;
                }

                if (!_authenticated && mayAskForPassword && error.SqlState is "28P01" or "28000")
                {
                    return Step.AskForPassword; // What the command printed some time ago may have expired or been changed.
                }

                server.Close(error with { Severity = "FATAL" });
                return Step.Failed;
            case BackendMessage.NoticeResponse:
                return Step.GoOn;
            case BackendMessage.NegotiateProtocolVersion:
                return Negotiate(body);
        }

        // Whoever speaks before it has proved itself is not believed (mutual authentication, CVE-2024-10977 alike).
        if (!_authenticated)
        {
            return Fail(ServerErrors.Violation.Fields($"unexpected message {BackendFrame.Describe(type)} from server before authentication ended"));
        }

        switch (type)
        {
            case BackendMessage.ParameterStatus:
                return RecordParameter(body);
            case BackendMessage.BackendKeyData when body.Length == 8 || (_minor > 0 && body.Length is > 8 and <= 4 + LongestSecret):
                server.ProcessId = BinaryPrimitives.ReadInt32BigEndian(body);
                server.CancelSecret = body[4..].ToArray();
                return Step.GoOn;
            case BackendMessage.ReadyForQuery when body.Length == 1 && body[0] == 'I':
                server.Status = body[0];
                server.RememberLogin();
                return Step.Done;
            case BackendMessage.BackendKeyData:
                return Fail(ServerErrors.Violation.Fields("malformed BackendKeyData from server"));
            case BackendMessage.ReadyForQuery:
                return Fail(ServerErrors.Violation.Fields("malformed ReadyForQuery from server at login"));
            default:
                return Fail(ServerErrors.Violation.Fields($"unexpected message {BackendFrame.Describe(type)} from server at login"));
        }
    }

    /// <summary>The server speaks an older 3.x, which is all it may say: we asked for no protocol option (PostgreSQL documentation, 55.2.1).</summary>
    private Step Negotiate(ReadOnlySpan<byte> body)
    {
        bool isSound = !_authenticated && _scram == null && body.Length == 8;
        int version = isSound ? BinaryPrimitives.ReadInt32BigEndian(body) : -1;

        // PostgreSQL sends the whole number; the documentation's words can be read as the minor alone.
        int theirs = version >= StartupPacket.Version30 ? version - StartupPacket.Version30 : version;
        if (theirs < 0 || theirs >= _minor || BinaryPrimitives.ReadInt32BigEndian(body[4..]) != 0)
        {
            return Fail(ServerErrors.Violation.Fields("malformed NegotiateProtocolVersion from server"));
        }

        _minor = theirs;
        return Step.GoOn;
    }

    private Step RecordParameter(ReadOnlySpan<byte> body)
    {
        if (server.Welcome.Count >= MaxParameters)
        {
            return Fail(ServerErrors.Violation.Fields($"server reports more than {MaxParameters} parameters at login"));
        }

        int end = Math.Max(0, body.IndexOf((byte)0));
        if (end > 0)
        {
            SessionParameters.Learn(body[..end]);
        }

        server.Record(body, out _);
        if (server.Failure != null)
        {
            return Step.Failed;
        }

        server.Welcome.Add(new(Encoding.UTF8.GetString(body[..end]), Encoding.UTF8.GetString(body[(end + 1)..^1])));
        return Step.GoOn;
    }

    private Step Authenticate(ReadOnlySpan<byte> body)
    {
        if (!AuthenticationRequest.TryParse(body, out AuthenticationRequest request) || _authenticated)
        {
            return Fail(ServerErrors.Violation.Fields("malformed authentication request from server"));
        }

        string secret = _secret;
        if (_scram != null && request.Kind is not (AuthenticationKind.SaslContinue or AuthenticationKind.SaslFinal or AuthenticationKind.Ok))
        {
            return Fail(ServerErrors.Violation.Fields("server asked for another authentication in the middle of SCRAM"));
        }

        switch (request.Kind)
        {
            case AuthenticationKind.Ok:
                if (_scram is { ServerVerified: false })
                {
                    return Fail(ServerErrors.NotProved.Fields());
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
            case AuthenticationKind.Sasl when request.Offers("SCRAM-SHA-256"u8) && (IsPlain(secret) || FindClientKeys(secret)):
                _scram = new ScramClient(server.ChannelBinding, request.Offers("SCRAM-SHA-256-PLUS"u8));
                Writer.WriteSaslInitialResponse(_scram.IsPlus ? ScramServer.PlusMechanism : ScramServer.Mechanism, _scram.ClientFirst);
                return Step.GoOn;
            case AuthenticationKind.SaslContinue when _scram != null:
                return !_scram.TryReadChallenge(request.Data, out string problem) ? Fail(ServerErrors.BadScram.Fields(problem))
                    : _clientKeys != null ? AnswerWithClientKeys(secret)
                    : _scram.Iterations <= MostIterations ? Step.DeriveKeys
                    : Fail(ServerErrors.TooManyIterations.Fields(server.Target.User, _scram.Iterations, MostIterations));
            case AuthenticationKind.SaslFinal when _scram != null:
                return _scram.TryVerifyServer(request.Data, out problem) ? Step.GoOn : Fail(ServerErrors.WrongProof.Fields(problem));
            default:
                return Fail(ServerErrors.NoWayToLogIn.Fields(request.Kind, server.Target.User, Hindrance(request.Kind, secret)));
        }
    }

    private bool FindClientKeys(string secret)
    {
        _clientKeys = server.Target.ClientKeys?.Find(server.Target.User, secret);
        return _clientKeys != null;
    }

    /// <summary>The client's keys open only a server that has the very verifier the client was checked by.</summary>
    private Step AnswerWithClientKeys(string secret)
    {
        if (!ScramVerifier.TryParse(secret, out ScramVerifier? verifier)
            || verifier.Iterations != _scram!.Iterations
            || !verifier.Salt.SequenceEqual(_scram.Salt))
        {
            return Fail(ServerErrors.OtherSecret.Fields(server.Target.User));
        }

        Writer.WriteSaslResponse(_scram.BuildFinal(_clientKeys!));
        return Step.GoOn;
    }

    /// <summary>Why what we have does not open the server, and what would.</summary>
    private string Hindrance(AuthenticationKind asked, string secret)
    {
        if (secret.Length == 0)
        {
            return "no password in auth_file or in the database's password=";
        }

        if (asked != AuthenticationKind.Sasl || !ScramVerifier.TryParse(secret, out _))
        {
            return "the stored secret does not fit; store the plain password";
        }

        return server.Target.ClientKeys == null
            ? "a SCRAM secret does not open the server for a forced user; store the plain password, or set password= in the database entry"
            : "a SCRAM secret opens the server only once its user has logged in here by scram-sha-256, md5 or plain (auth_type); let it log in, or store the plain password";
    }

    /// <summary>PBKDF2 with the server's iteration count may take long: it runs on the thread pool.</summary>
    private async ValueTask AnswerChallengeAsync()
    {
        byte[] password = Encoding.UTF8.GetBytes(_secret);
        ScramKeys keys = await Offload.Run(
            server.Socket,
            static s => ScramKeys.Derive(s.Password, s.Salt, s.Iterations),
            (Password: password, Salt: _scram!.Salt.ToArray(), _scram.Iterations));
        CryptographicOperations.ZeroMemory(password);
        Writer.WriteSaslResponse(_scram.BuildFinal(keys));
    }

    private Step Fail(ErrorFields failure)
    {
        server.Close(failure);
        return Step.Failed;
    }

    private static bool IsPlain(string secret) =>
        secret.Length > 0 && !Md5Password.IsHash(secret) && !ScramVerifier.TryParse(secret, out _);
}
