using System.Buffers;
using System.Collections.Concurrent;
using System.Text;
using Pooler.Protocol;

namespace Pooler.LoadGenerator;

/// <summary>The client's side of a login by SCRAM-SHA-256. The keys of a salt are derived once for all clients: the load shall cost little itself.</summary>
internal sealed class ScramLogin(string password)
{
    private static readonly ConcurrentDictionary<string, ScramKeys> s_keys = new();

    private readonly ScramClient _scram = new();

    /// <summary>What to answer; null: nothing.</summary>
    public byte[]? Answer(ReadOnlySpan<byte> body)
    {
        if (!AuthenticationRequest.TryParse(body, out AuthenticationRequest request))
        {
            throw new LoadException("malformed authentication request");
        }

        var output = new ArrayBufferWriter<byte>();
        var writer = new MessageWriter(output);
        string problem = "";
        switch (request.Kind)
        {
            case AuthenticationKind.Sasl:
                writer.WriteSaslInitialResponse(ScramServer.Mechanism, _scram.ClientFirst);
                break;
            case AuthenticationKind.SaslContinue when _scram.TryReadChallenge(request.Data, out problem):
                string salt = $"{_scram.Iterations} {Convert.ToBase64String(_scram.Salt)}";
                if (!s_keys.TryGetValue(salt, out ScramKeys? keys))
                {
                    s_keys[salt] = keys = ScramKeys.Derive(Encoding.UTF8.GetBytes(password), _scram.Salt, _scram.Iterations);
                }

                writer.WriteSaslResponse(_scram.BuildFinal(keys));
                break;
            case AuthenticationKind.SaslFinal when _scram.TryVerifyServer(request.Data, out problem):
                return null;
            default:
                throw new LoadException($"authentication {request.Kind} is not supported here {problem}");
        }

        return output.WrittenSpan.ToArray();
    }
}
