using System.Security.Cryptography;
using System.Text;
using Pooler.Config;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// Asks a client to prove who it is, by auth_type and the secret that is stored for it. Returns null when it did, else the
/// sentence for the client (PgBouncer's words); nothing in it tells whether the user exists.
/// </summary>
internal sealed class Authentication(ClientLogin login, Credentials credentials)
{
    /// <summary>What auth_type trust says to a user it does not know.</summary>
    public const string UntrustedUser = "\"trust\" authentication failed";

    private const string WrongPassword = "password authentication failed";
    private const string SaslFailed = "SASL authentication failed";

    private MessageWriter Writer => new(login.Client.Outbox);

    public async ValueTask<string?> RunAsync(AuthType type, string user)
    {
        string? secret = credentials.SecretOf(user);
        switch (type)
        {
            case AuthType.Any:
                return null;
            case AuthType.Trust:
                return secret != null ? null : UntrustedUser;
            case AuthType.Plain:
                return await PlainAsync(user, secret);
            case AuthType.Md5 when !credentials.IsVerifier(user, secret):
                return await Md5Async(user, secret);
            case AuthType.Md5 or AuthType.ScramSha256:
                // PgBouncer: with md5 a user whose secret is a SCRAM verifier is asked by SCRAM.
                return await ScramAsync(user, secret);
            default:
                return $"auth_type {type} is not supported";
        }
    }

    private async ValueTask<string?> PlainAsync(string user, string? secret)
    {
        Writer.WriteAuthenticationCleartext();
        byte[]? password = await ReadPasswordAsync(StartupLimit);
        return password != null && await Offload.Run(login.Client, static s => s.credentials.Matches(s.user, s.secret, s.password), (credentials, user, secret, password))
            ? null
            : WrongPassword;
    }

    private async ValueTask<string?> Md5Async(string user, string? secret)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(Md5Password.SaltLength);
        Writer.WriteAuthenticationMd5(salt);
        byte[]? response = await ReadPasswordAsync(StartupLimit);
        byte[] name = Encoding.UTF8.GetBytes(user);

        // An unknown user is checked like any other, against a hash nobody knows.
        string stored = string.IsNullOrEmpty(secret) ? Md5Password.Hash(RandomNumberGenerator.GetBytes(16), name)
            : Md5Password.IsHash(secret) ? secret : Md5Password.Hash(Encoding.UTF8.GetBytes(secret), name);
        return response != null && Md5Password.Verify(stored, salt, response) && !string.IsNullOrEmpty(secret) ? null : WrongPassword;
    }

    private async ValueTask<string?> ScramAsync(string user, string? secret)
    {
        Writer.WriteAuthenticationSasl(ScramServer.Mechanism);
        ScramVerifier verifier = await Offload.Run(login.Client, static s => s.credentials.VerifierFor(s.user, s.secret), (credentials, user, secret));
        var server = new ScramServer(verifier);
        byte[]? first = await login.ReadFrameAsync(FrontendMessage.Password, StartupLimit);
        if (first == null || !TryChallenge(server, first, out byte[] challenge))
        {
            return SaslFailed;
        }

        Writer.WriteAuthenticationSaslContinue(challenge);
        byte[]? final = await login.ReadFrameAsync(FrontendMessage.Password, StartupLimit);
        if (final == null || !server.TryFinish(final, out byte[] proof, out _))
        {
            return SaslFailed;
        }

        credentials.Learn(user, secret, server.Keys);
        Writer.WriteAuthenticationSaslFinal(proof);
        return null;
    }

    private static bool TryChallenge(ScramServer server, byte[] first, out byte[] challenge)
    {
        challenge = [];
        return SaslInitialResponse.TryParse(first, out SaslInitialResponse response, out _)
            && response.Mechanism.SequenceEqual("SCRAM-SHA-256"u8)
            && response.HasData
            && server.TryChallenge(response.Data, out challenge, out _);
    }

    private async ValueTask<byte[]?> ReadPasswordAsync(int limit)
    {
        byte[]? body = await login.ReadFrameAsync(FrontendMessage.Password, limit);
        return body != null && PasswordMessage.TryParse(body, out ReadOnlySpan<byte> password, out _) ? password.ToArray() : null;
    }

    private const int StartupLimit = ClientLogin.MaxStartup;
}
