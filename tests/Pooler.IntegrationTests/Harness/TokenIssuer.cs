using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Pooler.IntegrationTests.Harness;

/// <summary>An identity provider of the test's own: it signs tokens, and serves its keys over HTTP.</summary>
internal sealed class TokenIssuer : IAsyncDisposable
{
    public const string Audience = "pooler";

    private readonly HttpListener _listener = new();
    private readonly Task _serving;
    private Dictionary<string, AsymmetricAlgorithm> _keys = NewKeys("");
    private volatile bool _isSilent;
    private int _keyRequests;

    public TokenIssuer()
    {
        Url = $"http://127.0.0.1:{FreePort.Next()}";
        ClaimedUrl = Url;
        _listener.Prefixes.Add(Url + "/");
        _listener.Start();
        _serving = ServeAsync();
    }

    public string Url { get; }

    /// <summary>The issuer as its discovery document has it.</summary>
    public string ClaimedUrl { get; set; }

    public int KeyRequests => Volatile.Read(ref _keyRequests);

    /// <summary>It takes requests and answers none.</summary>
    public bool IsSilent { set => _isSilent = value; }

    /// <summary>Sent instead of the keys.</summary>
    public string? Instead { get; set; }

    public string Jwks => new JsonObject { ["keys"] = new JsonArray([.. _keys.Select(static pair => Describe(pair.Key, pair.Value))]) }.ToJsonString();

    /// <summary>Other keys, under other names.</summary>
    public void Rotate(string suffix) => _keys = NewKeys(suffix);

    /// <summary>What is in a token that is taken.</summary>
    public JsonObject Claims(string user) => new()
    {
        ["iss"] = Url,
        ["aud"] = Audience,
        ["sub"] = user,
        ["scope"] = "openid db",
        ["exp"] = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 300,
    };

    public string Token(string user, string algorithm = "RS256") => Token(Claims(user), algorithm);

    /// <param name="kid">The key it names; it is signed with the one the issuer has for the algorithm.</param>
    public string Token(JsonObject claims, string algorithm = "RS256", string? kid = null, Action<JsonObject>? adjust = null)
    {
        (string own, AsymmetricAlgorithm key) = _keys.First(pair => pair.Key.StartsWith(algorithm[0] == 'E' ? algorithm : "RSA", StringComparison.Ordinal));
        var header = new JsonObject { ["alg"] = algorithm, ["typ"] = "at+jwt", ["kid"] = kid ?? own };
        adjust?.Invoke(header);
        string signed = $"{Encode(header.ToJsonString())}.{Encode(claims.ToJsonString())}";
        return $"{signed}.{Base64Url.EncodeToString(Sign(key, algorithm, Encoding.ASCII.GetBytes(signed)))}";
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Close();
        await _serving;
    }

    public static string Encode(string text) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));

    private static Dictionary<string, AsymmetricAlgorithm> NewKeys(string suffix) => new()
    {
        ["RSA" + suffix] = RSA.Create(2048),
        ["ES256" + suffix] = ECDsa.Create(ECCurve.NamedCurves.nistP256),
        ["ES384" + suffix] = ECDsa.Create(ECCurve.NamedCurves.nistP384),
        ["ES512" + suffix] = ECDsa.Create(ECCurve.NamedCurves.nistP521),
    };

    private static byte[] Sign(AsymmetricAlgorithm key, string algorithm, byte[] data)
    {
        var hash = new HashAlgorithmName("SHA" + algorithm[^3..]);
        return (algorithm[..2], key) switch
        {
            ("RS", RSA rsa) => rsa.SignData(data, hash, RSASignaturePadding.Pkcs1),
            ("PS", RSA rsa) => rsa.SignData(data, hash, RSASignaturePadding.Pss),
            ("ES", ECDsa ec) => ec.SignData(data, hash),
            ("HS", RSA rsa) => HMACSHA256.HashData(Encoding.ASCII.GetBytes(rsa.ExportSubjectPublicKeyInfoPem()), data), // The classic confusion.
            _ => [],
        };
    }

    private static JsonObject Describe(string kid, AsymmetricAlgorithm key)
    {
        if (key is RSA rsa)
        {
            RSAParameters of = rsa.ExportParameters(false);
            return new JsonObject { ["kty"] = "RSA", ["use"] = "sig", ["kid"] = kid, ["n"] = Base64Url.EncodeToString(of.Modulus), ["e"] = Base64Url.EncodeToString(of.Exponent) };
        }

        ECParameters point = ((ECDsa)key).ExportParameters(false);
        return new JsonObject
        {
            ["kty"] = "EC",
            ["use"] = "sig",
            ["kid"] = kid,
            ["crv"] = kid[..5] switch { "ES256" => "P-256", "ES384" => "P-384", _ => "P-521" },
            ["x"] = Base64Url.EncodeToString(point.Q.X),
            ["y"] = Base64Url.EncodeToString(point.Q.Y),
        };
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            try
            {
                HttpListenerContext context = await _listener.GetContextAsync();
                bool isKeys = context.Request.RawUrl == "/keys";
                if (isKeys)
                {
                    Interlocked.Increment(ref _keyRequests);
                }

                if (_isSilent)
                {
                    continue;
                }

                string body = isKeys ? Instead ?? Jwks
                    : context.Request.RawUrl == "/.well-known/openid-configuration" ? JsonSerializer.Serialize(new Dictionary<string, string> { ["issuer"] = ClaimedUrl, ["jwks_uri"] = Url + "/keys" })
                    : "";
                context.Response.StatusCode = body.Length > 0 ? 200 : 404;
                await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(body));
                context.Response.Close();
            }
            catch (Exception fault) when (fault is HttpListenerException or ObjectDisposedException)
            {
                if (!_listener.IsListening)
                {
                    return;
                }
            }
        }
    }
}
