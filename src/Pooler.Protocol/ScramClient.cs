using System.Security.Cryptography;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677; PostgreSQL documentation, 55.3.1) for one login to a server, bound
/// to its TLS certificate if both sides can (SCRAM-SHA-256-PLUS, RFC 5929): <see cref="ClientFirst"/>, <see cref="TryReadChallenge"/>, <see cref="BuildFinal"/>, <see cref="TryVerifyServer"/>. The server
/// must prove that it knows the verifier: an AuthenticationOk is to be believed only if <see cref="ServerVerified"/>.
/// </summary>
public sealed class ScramClient
{
    /// <summary>Longest message taken from a server; nonce, salt and proof are bounded by it.</summary>
    public const int MaxMessageLength = 4096;

    private readonly byte[] _clientFirstBare;
    private readonly byte[] _channelBinding;
    private readonly string _flag;
    private readonly byte[] _ownNonce;
    private Step _step = Step.ServerFirst;
    private byte[] _serverFirst = [];
    private byte[] _nonce = [];
    private byte[] _salt = [];
    private byte[] _expectedSignature = [];

    /// <summary>A login with a fresh nonce.</summary>
    /// <param name="endPoint">The server's tls-server-end-point; null: there is nothing to bind to.</param>
    /// <param name="serverBinds">The server offers -PLUS.</param>
    public ScramClient(byte[]? endPoint = null, bool serverBinds = false)
        : this(ScramProof.NewNonce(), user: "", endPoint, serverBinds)
    {
    }

    /// <summary>PostgreSQL takes the user from the startup packet and ignores the name here, so none is sent.</summary>
    internal ScramClient(string nonce, string user, byte[]? endPoint = null, bool serverBinds = false)
    {
        // "y" tells a server that does offer it that somebody has taken its offer away.
        IsPlus = endPoint != null && serverBinds;
        _flag = IsPlus ? "p=tls-server-end-point" : endPoint != null ? "y" : "n";
        _channelBinding = IsPlus ? endPoint! : [];
        _ownNonce = Encoding.ASCII.GetBytes(nonce);
        _clientFirstBare = [.. "n="u8, .. Encoding.UTF8.GetBytes(user), .. ",r="u8, .. _ownNonce];
    }

    private enum Step
    {
        ServerFirst,
        Final,
        ServerFinal,
        Done,
    }

    /// <summary>The mechanism is SCRAM-SHA-256-PLUS.</summary>
    public bool IsPlus { get; }

    /// <summary>client-first, for SASLInitialResponse.</summary>
    public byte[] ClientFirst => [.. Encoding.ASCII.GetBytes(_flag), .. ",,"u8, .. _clientFirstBare];

    /// <summary>The server's salt, once its challenge was read: input of <see cref="ScramKeys.Derive"/>.</summary>
    public ReadOnlySpan<byte> Salt => _salt;

    /// <summary>The server's iterations, once its challenge was read. It may be any positive number; the caller may set a limit.</summary>
    public int Iterations { get; private set; }

    /// <summary>Whether the server has proved that it knows the verifier.</summary>
    public bool ServerVerified { get; private set; }

    /// <summary>Reads server-first, the data of AuthenticationSASLContinue.</summary>
    public bool TryReadChallenge(ReadOnlySpan<byte> serverFirst, out string problem)
    {
        if (!Enter(Step.ServerFirst, serverFirst, out problem))
            return false;
        if (serverFirst.StartsWith("m="u8))
        {
            problem = "server requires an unsupported SCRAM extension";
            return false;
        }

        problem = "malformed SCRAM message (server-first-message)";
        var reader = new ScramReader(serverFirst);
        if (!reader.TryRead('r', out ReadOnlySpan<byte> nonce) || !ScramReader.IsNonce(nonce))
            return false;
        if (nonce.Length <= _ownNonce.Length || !nonce.StartsWith(_ownNonce))
        {
            problem = "invalid SCRAM response (nonce mismatch)";
            return false;
        }

        if (!reader.TryRead('s', out ReadOnlySpan<byte> saltText) || !ScramReader.TryDecode(saltText, out byte[] salt) || salt.Length == 0)
        {
            problem = "malformed SCRAM message (invalid salt)";
            return false;
        }

        if (!reader.TryRead('i', out ReadOnlySpan<byte> count) || !ScramReader.TryReadIterations(count, out int iterations))
        {
            problem = "malformed SCRAM message (invalid iteration count)";
            return false;
        }

        if (!reader.TrySkipExtensions())
            return false;
        _serverFirst = serverFirst.ToArray();
        _nonce = nonce.ToArray();
        _salt = salt;
        Iterations = iterations;
        _step = Step.Final;
        problem = "";
        return true;
    }

    /// <summary>Makes client-final, for SASLResponse. The keys must belong to <see cref="Salt"/> and <see cref="Iterations"/>.</summary>
    public byte[] BuildFinal(ScramKeys keys)
    {
        if (_step != Step.Final)
            throw new InvalidOperationException("The server's challenge has not been read.");
        byte[] withoutProof = [.. "c="u8, .. Encoding.ASCII.GetBytes(Convert.ToBase64String([.. Encoding.ASCII.GetBytes(_flag + ",,"), .. _channelBinding])), .. ",r="u8, .. _nonce];
        byte[] authMessage = ScramProof.AuthMessage(_clientFirstBare, _serverFirst, withoutProof);
        byte[] proof = ScramProof.Mask(keys.ClientKey, SHA256.HashData(keys.ClientKey), authMessage);
        _expectedSignature = HMACSHA256.HashData(keys.ServerKey, authMessage);
        _step = Step.ServerFinal;
        return [.. withoutProof, .. ",p="u8, .. Encoding.ASCII.GetBytes(Convert.ToBase64String(proof))];
    }

    /// <summary>Reads server-final, the data of AuthenticationSASLFinal, and checks the server's signature.</summary>
    public bool TryVerifyServer(ReadOnlySpan<byte> serverFinal, out string problem)
    {
        if (!Enter(Step.ServerFinal, serverFinal, out problem))
            return false;
        var reader = new ScramReader(serverFinal);
        if (serverFinal.StartsWith("e="u8))
        {
            problem = "the server refused the SCRAM exchange";
            return false;
        }

        if (!reader.TryRead('v', out ReadOnlySpan<byte> text) || !reader.AtEnd
            || !ScramReader.TryDecode(text, out byte[] signature) || signature.Length != ScramKeys.KeyLength)
        {
            problem = "malformed SCRAM message (invalid server signature)";
            return false;
        }

        ServerVerified = CryptographicOperations.FixedTimeEquals(signature, _expectedSignature);
        problem = ServerVerified ? "" : "incorrect server signature";
        return ServerVerified;
    }

    /// <summary>Every message has one turn, whatever comes of it.</summary>
    private bool Enter(Step step, ReadOnlySpan<byte> message, out string problem)
    {
        bool inTurn = _step == step;
        _step = Step.Done;
        problem = !inTurn ? "unexpected SCRAM message"
            : message.IsEmpty || message.Length > MaxMessageLength || message.Contains((byte)0) ? "malformed SCRAM message (bad length)"
            : "";
        return problem.Length == 0;
    }
}
