using System.Security.Cryptography;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929; PostgreSQL documentation, 55.3.1) for one login.
/// A client that could bind but saw no -PLUS mechanism (<c>y</c>) is welcome only if none was offered: else somebody between us took it away.
/// The name inside the messages is ignored: the one of the startup packet counts. Problems are texts for the log, worded as PostgreSQL
/// words them; they must not tell the client more than that it failed.
/// </summary>
public sealed class ScramServer
{
    /// <summary>The mechanism's name.</summary>
    public const string Mechanism = "SCRAM-SHA-256";

    /// <summary>The mechanism's name when it binds to the channel.</summary>
    public const string PlusMechanism = "SCRAM-SHA-256-PLUS";

    /// <summary>Bytes of random that make a nonce.</summary>
    public const int NonceBytes = ScramProof.NonceBytes;

    /// <summary>Longest message taken from a client, as in PostgreSQL.</summary>
    public const int MaxMessageLength = 1024;

    private const string OutOfTurn = "unexpected SCRAM message";

    private readonly ScramVerifier _verifier;
    private readonly byte[]? _endPoint;
    private readonly string _ownNonce;
    private Step _step = Step.ClientFirst;
    private bool _isPlus;
    private string _channelBinding = "";
    private byte[] _clientFirstBare = [];
    private byte[] _serverFirst = [];
    private byte[] _nonce = [];

    /// <summary>A login against this verifier, which may be a mock.</summary>
    /// <param name="endPoint">What a client may bind to (tls-server-end-point); null: nothing, -PLUS is not offered.</param>
    /// <param name="random"><see cref="NonceBytes"/> fresh ones; empty: they are fetched.</param>
    public ScramServer(ScramVerifier verifier, byte[]? endPoint = null, ReadOnlySpan<byte> random = default)
        : this(verifier, random.IsEmpty ? ScramProof.NewNonce() : Convert.ToBase64String(random), endPoint)
    {
        if (!random.IsEmpty)
            ArgumentOutOfRangeException.ThrowIfNotEqual(random.Length, NonceBytes);
    }

    internal ScramServer(ScramVerifier verifier, string nonce, byte[]? endPoint = null)
    {
        _verifier = verifier;
        _endPoint = endPoint;
        _ownNonce = nonce;
    }

    private enum Step
    {
        ClientFirst,
        ClientFinal,
        Done,
    }

    /// <summary>The client's keys, to log in to servers that store the same verifier; null until the client has proved itself.</summary>
    public ScramKeys? Keys { get; private set; }

    /// <summary>Reads client-first and makes server-first, for AuthenticationSASLContinue.</summary>
    /// <param name="isPlus">The client has chosen the mechanism that binds.</param>
    public bool TryChallenge(ReadOnlySpan<byte> clientFirst, out byte[] serverFirst, out string problem, bool isPlus = false)
    {
        serverFirst = [];
        _isPlus = isPlus;
        if (!Enter(Step.ClientFirst, clientFirst, out problem))
            return false;
        problem = ReadClientFirst(clientFirst);
        if (problem.Length > 0)
            return false;
        string parameters = $",s={Convert.ToBase64String(_verifier.Salt)},i={_verifier.Iterations}";
        serverFirst = [.. "r="u8, .. _nonce, .. Encoding.ASCII.GetBytes(parameters)];
        _serverFirst = serverFirst;
        _step = Step.ClientFinal;
        return true;
    }

    /// <summary>Reads client-final and, if the proof holds, makes server-final, for AuthenticationSASLFinal.</summary>
    public bool TryFinish(ReadOnlySpan<byte> clientFinal, out byte[] serverFinal, out string problem)
    {
        serverFinal = [];
        if (!Enter(Step.ClientFinal, clientFinal, out problem))
            return false;
        problem = ReadClientFinal(clientFinal, out byte[] proof, out int withoutProof);
        if (problem.Length > 0)
            return false;

        byte[] authMessage = ScramProof.AuthMessage(_clientFirstBare, _serverFirst, clientFinal[..withoutProof]);
        byte[] clientKey = ScramProof.Mask(proof, _verifier.StoredKey, authMessage);
        bool proved = CryptographicOperations.FixedTimeEquals(SHA256.HashData(clientKey), _verifier.StoredKey);
        if (!proved | _verifier.IsMock)
        {
            problem = "the SCRAM proof does not match the stored verifier";
            return false;
        }

        Keys = new ScramKeys(clientKey, _verifier.ServerKey);
        byte[] signature = HMACSHA256.HashData(_verifier.ServerKey, authMessage);
        serverFinal = [.. "v="u8, .. Encoding.ASCII.GetBytes(Convert.ToBase64String(signature))];
        return true;
    }

    /// <summary>Every message has one turn: whatever comes of it, a second try needs a new login with a new nonce.</summary>
    private bool Enter(Step step, ReadOnlySpan<byte> message, out string problem)
    {
        bool inTurn = _step == step;
        _step = Step.Done;
        problem = !inTurn ? OutOfTurn
            : message.IsEmpty ? "malformed SCRAM message (the message is empty)"
            : message.Length > MaxMessageLength ? "malformed SCRAM message (the message is too long)"
            : message.Contains((byte)0) ? "malformed SCRAM message (message length does not match input length)"
            : "";
        return problem.Length == 0;
    }

    private string ReadClientFirst(ReadOnlySpan<byte> message)
    {
        // gs2-header: "n,,", "y,," or "p=tls-server-end-point,,"; between the commas a client could ask to act as someone else.
        int flag = Math.Max(0, message.IndexOf((byte)','));
        if (BindingProblem(message[..flag]) is { } problem)
            return problem;
        ReadOnlySpan<byte> bare = message[(flag + 1)..];
        if (bare.StartsWith("a"u8))
            return "client uses authorization identity, but it is not supported";
        if (!bare.StartsWith(","u8))
            return "malformed SCRAM message (unexpected attribute in client-first-message)";
        bare = bare[1..];
        if (bare.StartsWith("m="u8))
            return "client requires an unsupported SCRAM extension";
        var reader = new ScramReader(bare);
        if (!reader.TryRead('n', out _) || !reader.TryRead('r', out ReadOnlySpan<byte> clientNonce))
            return "malformed SCRAM message (expected attributes \"n\" and \"r\" in client-first-message)";
        if (!ScramReader.IsNonce(clientNonce))
            return "non-printable characters in SCRAM nonce";
        if (!reader.TrySkipExtensions())
            return "malformed SCRAM message (unexpected attribute in client-first-message)";

        _channelBinding = Convert.ToBase64String([.. message[..(flag + 2)], .. _isPlus ? _endPoint! : []]);
        _clientFirstBare = bare.ToArray();
        _nonce = [.. clientNonce, .. Encoding.ASCII.GetBytes(_ownNonce)];
        return "";
    }

    /// <summary>What the flag says, the mechanism that was chosen and what was offered have to go together.</summary>
    private string? BindingProblem(ReadOnlySpan<byte> flag)
    {
        if (flag.StartsWith("p="u8))
        {
            return !_isPlus || _endPoint == null ? "malformed SCRAM message (channel binding was not offered)"
                : !flag[2..].SequenceEqual("tls-server-end-point"u8) ? "unsupported SCRAM channel-binding type"
                : null;
        }

        return !(flag.SequenceEqual("n"u8) || flag.SequenceEqual("y"u8)) ? "malformed SCRAM message (unexpected channel-binding flag)"
            : _isPlus ? "malformed SCRAM message (SCRAM-SHA-256-PLUS without channel binding data)"
            : flag[0] == 'y' && _endPoint != null ? "SCRAM channel binding negotiation error: the client supports it and thinks that we do not"
            : null;
    }

    private string ReadClientFinal(ReadOnlySpan<byte> message, out byte[] proof, out int withoutProof)
    {
        proof = [];
        withoutProof = 0;
        var reader = new ScramReader(message);
        if (!reader.TryRead('c', out ReadOnlySpan<byte> binding))
            return "malformed SCRAM message (expected attribute \"c\" in client-final-message)";
        if (!binding.SequenceEqual(Encoding.ASCII.GetBytes(_channelBinding)))
            return "unexpected SCRAM channel-binding attribute in client-final-message";
        if (!reader.TryRead('r', out ReadOnlySpan<byte> nonce))
            return "malformed SCRAM message (expected attribute \"r\" in client-final-message)";
        if (!nonce.SequenceEqual(_nonce))
            return "invalid SCRAM response (nonce does not match)";
        if (!reader.TrySkipExtensions(until: 'p'))
            return "malformed SCRAM message (unexpected attribute in client-final-message)";
        withoutProof = message.Length - reader.Rest.Length - 1;
        if (!reader.TryRead('p', out ReadOnlySpan<byte> text)
            || !ScramReader.TryDecode(text, out proof) || proof.Length != ScramKeys.KeyLength)
        {
            return "malformed SCRAM message (malformed proof in client-final-message)";
        }

        return reader.AtEnd ? "" : "malformed SCRAM message (garbage found at the end of client-final-message)";
    }
}
