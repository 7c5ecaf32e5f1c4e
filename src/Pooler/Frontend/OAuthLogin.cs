using System.Text;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// The conversation of OAUTHBEARER (RFC 7628; PostgreSQL documentation, 55.3.3): the client's token, and, if that is not taken, where to
/// get another.
/// </summary>
internal sealed class OAuthLogin(ClientLogin login, OAuthConfig config)
{
    private MessageWriter Writer => new(login.Client.Outbox);

    /// <summary>Null when the client has shown a token of somebody who may be this user; else the error for it.</summary>
    public async ValueTask<ErrorFields?> RunAsync(Func<string, bool> mayBe)
    {
        Writer.WriteAuthenticationSasl(OAuthBearer.Mechanism);
        byte[]? first = await login.ReadFrameAsync(FrontendMessage.Password, BlockPool.BlockSize);
        if (first == null || !TryRead(first, out string token, out string problem))
        {
            return LoginErrors.SaslFailed.Fields();
        }

        if (token.Length > 0)
        {
            OAuthAnswer answer = await login.CheckTokenAsync(config, token);
            if (answer.Identity is { } identity && mayBe(identity))
            {
                return null;
            }

            login.NoteRefusedToken(answer.Problem ?? $"its bearer \"{answer.Identity}\" may not be this user");
        }

        // The client says that it has understood; then it is told as everybody is (RFC 7628, 3.2.3).
        Writer.WriteAuthenticationSaslContinue(OAuthBearer.Failure(config.ConfigurationUrl, config.Scope));
        await login.ReadFrameAsync(FrontendMessage.Password, ClientLogin.MaxStartup);
        return LoginErrors.OAuthFailed.Fields();
    }

    private static bool TryRead(byte[] body, out string token, out string problem)
    {
        token = "";
        bool isRight = SaslInitialResponse.TryParse(body, out SaslInitialResponse response, out problem)
            && response.Mechanism.SequenceEqual("OAUTHBEARER"u8)
            && response.HasData;
        if (isRight && OAuthBearer.TryParse(response.Data, out ReadOnlySpan<byte> bytes, out problem))
        {
            token = Encoding.ASCII.GetString(bytes);
            return true;
        }

        return false;
    }
}
