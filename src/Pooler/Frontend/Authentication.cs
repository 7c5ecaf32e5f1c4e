using System.Net;
using System.Security.Cryptography;
using System.Text;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Session;

namespace Pooler.Frontend;

/// <summary>
/// Asks a client to prove who it is, by auth_type and the secret that is stored for it. Returns null when it did, else the
/// error for the client; nothing in it tells whether the user exists.
/// </summary>
internal sealed class Authentication(ClientLogin login, Credentials credentials, DatabaseConfig? database)
{
    /// <summary>What is not checked by a secret.</summary>
    public required ExternalLogin External { get; init; }

    private MessageWriter Writer => new(login.Client.Outbox);

    /// <summary>Nobody else can read what the client sends; behind a proxy nobody knows.</summary>
    private bool IsPrivate => login.IsUnix || login.Tls != null
        || (login.Client.ProxiedPeer == null && IPAddress.TryParse(login.Client.Name(peer: true).Address, out IPAddress? address) && IPAddress.IsLoopback(address));

    /// <summary>As auth_type says.</summary>
    public ValueTask<ErrorFields?> RunAsync(AuthType type, ClientIdentity identity) => type switch
    {
        AuthType.Hba => RunAsync(login.Config.Hba, identity.Database, identity.User),
        AuthType.Cert => CertAsync(null, null, HbaClientName.CommonName, identity.User),
        AuthType.Ldap => External.LdapAsync(login.Config.Get(Settings.AuthLdapOptions), identity.User),
        AuthType.Pam => External.PamAsync(null, identity.User),
        AuthType.OAuth => OAuthAsync(login.Config.OAuthOf(null), identity.User, name => name == identity.User),
        _ => RunAsync(type, identity.User),
    };

    /// <summary>By the first line of auth_hba_file that is for this login.</summary>
    private async ValueTask<ErrorFields?> RunAsync(HbaRules? rules, string database, string user)
    {
        bool isKnown = IPAddress.TryParse(login.Client.Name(peer: true).Address, out IPAddress? address) != login.IsUnix;
        HbaRule? rule = isKnown ? rules?.Find(address, login.Tls?.ServerName, database, user) : null;
        ErrorFields? refusal = rule != null && !HasCertificate(rules!, rule, user) ? LoginErrors.WrongCertificate.Fields() : await RunAsync(rules, rule, user);
        if (refusal != null)
        {
            login.NoteCause(rule != null ? rule.Place : $"no line of auth_hba_file is for {(login.IsUnix ? "local" : address)}{(login.Tls != null ? " with TLS" : "")}, database {database}, user {user}");
        }

        return refusal;
    }

    private async ValueTask<ErrorFields?> RunAsync(HbaRules? rules, HbaRule? rule, string user) => rule?.Method switch
    {
        HbaMethod.Trust => await RunAsync(AuthType.Trust, user),
        HbaMethod.Password => await RunAsync(AuthType.Plain, user),
        HbaMethod.Md5 => await RunAsync(AuthType.Md5, user),
        HbaMethod.ScramSha256 => await RunAsync(AuthType.ScramSha256, user),
        HbaMethod.Cert => await CertAsync(rules, rule.Map, rule.Tls.ClientName, user),
        HbaMethod.Peer => await PeerAsync(rules!, rule.Map, user),
        HbaMethod.Ldap => await External.LdapAsync(rule.Ldap, user),
        HbaMethod.Pam => await External.PamAsync(rule.PamService, user),
        HbaMethod.OAuth => await OAuthAsync(login.Config.OAuthOf(rule), user, identity => rules!.Maps(rule.Map, identity, user)),
        _ => LoginErrors.Rejected.Fields(),
    };

    private ValueTask<ErrorFields?> RunAsync(AuthType type, string user)
    {
        string? secret = credentials.SecretOf(user);
        return secret != null || type == AuthType.Any || database == null || login.AuthUserOf(database) == null
            ? RunAsync(type, user, secret)
            : AskAsync(type, user, database);
    }

    /// <summary>By the secret that auth_query gives.</summary>
    private async ValueTask<ErrorFields?> AskAsync(AuthType type, string user, DatabaseConfig database)
    {
        if (await login.AskSecretAsync(database, user) is not { } answer)
        {
            return LoginErrors.WrongPassword.Fields(); // The login has been refused with a better reason.
        }

        ErrorFields? refusal = await RunAsync(type, user, answer.Secret);
        if (refusal != null)
        {
            login.ForgetSecret(database, user);
        }
        else if (answer.Secret != null)
        {
            credentials.LearnFetched(database, user, answer.Secret);
        }

        return refusal;
    }

    private ValueTask<ErrorFields?> RunAsync(AuthType type, string user, string? secret) => type switch
    {
        AuthType.Any => ValueTask.FromResult<ErrorFields?>(null),
        AuthType.Trust => ValueTask.FromResult(secret != null ? null : Refused(LoginErrors.UnknownUser, secret)),
        AuthType.Plain => PlainAsync(user, secret),
        AuthType.Md5 when !credentials.IsVerifier(user, secret) => Md5Async(user, secret),

        // PgBouncer: with md5 a user whose secret is a SCRAM verifier is asked by SCRAM.
        AuthType.Md5 or AuthType.ScramSha256 => ScramAsync(user, secret),
        _ => ValueTask.FromResult<ErrorFields?>(LoginErrors.BadAuthType.Fields(type)),
    };

    /// <summary>The log is told why.</summary>
    private ErrorFields? Refused(ClientError error, string? secret)
    {
        login.NoteCause(secret == null ? "no secret is known of the user (auth_file, auth_query)"
            : login.HasLeft ? "the client left before it had proved anything"
            : "what the client answered does not fit the secret that is stored of the user");
        return error.Fields();
    }

    /// <summary>The user is named by a certificate that one of our authorities has signed, and the client has its key (PostgreSQL documentation, 20.12).</summary>
    private async ValueTask<ErrorFields?> CertAsync(HbaRules? rules, string? map, HbaClientName kind, string user) =>
        IsNamed(rules, map, kind, user) && await RunAsync(AuthType.Trust, user) == null ? null : LoginErrors.WrongCertificate.Fields();

    /// <summary>What a line asks for beside its method (clientcert=…).</summary>
    private bool HasCertificate(HbaRules rules, HbaRule rule, string user) => rule.Tls.ClientCert switch
    {
        HbaClientCert.VerifyFull => IsNamed(rules, rule.Map, rule.Tls.ClientName, user),
        HbaClientCert.VerifyCa => login.VerifiedCertificate != null,
        _ => true,
    };

    private bool IsNamed(HbaRules? rules, string? map, HbaClientName kind, string user)
    {
        string[] names = login.VerifiedCertificate is { } certificate ? [.. CertificateNames.Of(certificate, kind)] : [];
        bool isNamed = names.Any(name => rules == null ? name == user : rules.Maps(map, name, user));
        if (!isNamed)
        {
            login.NoteCause(login.VerifiedCertificate == null ? "the client showed no certificate" : $"the client's certificate names {(names.Length > 0 ? string.Join(", ", names) : "nobody")}");
        }

        return isNamed;
    }

    /// <summary>The kernel says whose the other end of the Unix socket is (PostgreSQL documentation, 20.9).</summary>
    private async ValueTask<ErrorFields?> PeerAsync(HbaRules rules, string? map, string user)
    {
        int uid = Syscalls.PeerUid(login.Client.Fd);
        string? name = await Offload.Run(login.Client, static uid => SystemUsers.NameOf(uid), uid);
        return name != null && rules.Maps(map, name, user) ? await RunAsync(AuthType.Trust, user) : LoginErrors.Rejected.Fields();
    }

    /// <summary>
    /// By a token. Of a user whose servers are logged in to by what the entry says no more is asked; any other must be known, as behind
    /// trust and peer.
    /// </summary>
    private async ValueTask<ErrorFields?> OAuthAsync(OAuthConfig? config, string user, Func<string, bool> mayBe)
    {
        if (!IsPrivate)
        {
            return LoginErrors.OAuthInClear.Fields();
        }

        ErrorFields? refusal = config == null ? LoginErrors.OAuthFailed.Fields() : await new OAuthLogin(login, config).RunAsync(mayBe);
        if (refusal != null || database == null || database.ForcedUser != null || database.Password != null || login.Config.PasswordCommandOf(database) != null)
        {
            return refusal;
        }

        if (await RunAsync(AuthType.Trust, user) == null)
        {
            return null;
        }

        login.NoteRefusedToken("its bearer is not known, and the database entry has no user=, password= or password_command to log in to servers with");
        return LoginErrors.OAuthFailed.Fields();
    }

    private async ValueTask<ErrorFields?> PlainAsync(string user, string? secret)
    {
        Writer.WriteAuthenticationCleartext();
        byte[]? password = await ReadPasswordAsync(StartupLimit);
        return password != null
            && await login.ComputeAsync(static s => !s.login.HasLeft && s.credentials.Matches(s.user, s.secret, s.password), (login, credentials, user, secret, password))
            ? null
            : Refused(LoginErrors.WrongPassword, secret);
    }

    private async ValueTask<ErrorFields?> Md5Async(string user, string? secret)
    {
        byte[] salt = RandomNumberGenerator.GetBytes(Md5Password.SaltLength);
        Writer.WriteAuthenticationMd5(salt);
        byte[]? response = await ReadPasswordAsync(StartupLimit);
        byte[] name = Encoding.UTF8.GetBytes(user);

        // An unknown user is checked like any other, against a hash nobody knows.
        string stored = string.IsNullOrEmpty(secret) ? Md5Password.Hash(RandomNumberGenerator.GetBytes(16), name)
            : Md5Password.IsHash(secret) ? secret : Md5Password.Hash(Encoding.UTF8.GetBytes(secret), name);
        return response != null && Md5Password.Verify(stored, salt, response) && !string.IsNullOrEmpty(secret) ? null : Refused(LoginErrors.WrongPassword, secret);
    }

    private async ValueTask<ErrorFields?> ScramAsync(string user, string? secret)
    {
        byte[]? endPoint = login.ChannelBinding;
        Writer.WriteAuthenticationSasl(endPoint == null ? [ScramServer.Mechanism] : [ScramServer.PlusMechanism, ScramServer.Mechanism]);
        ScramVerifier? verifier = credentials.ReadyVerifierFor(user, secret)
            ?? await login.ComputeAsync(static s => s.login.HasLeft ? null : s.credentials.VerifierFor(s.user, s.secret), (login, credentials, user, secret));
        if (verifier == null)
        {
            return Refused(LoginErrors.SaslFailed, secret);
        }

        ScramServer server = NewServer(verifier, endPoint);
        byte[]? first = await login.ReadFrameAsync(FrontendMessage.Password, StartupLimit);
        if (first == null || !TryChallenge(server, first, out byte[] challenge))
        {
            return Refused(LoginErrors.SaslFailed, secret);
        }

        Writer.WriteAuthenticationSaslContinue(challenge);
        byte[]? final = await login.ReadFrameAsync(FrontendMessage.Password, StartupLimit);
        if (final == null || !server.TryFinish(final, out byte[] proof, out _))
        {
            return Refused(LoginErrors.SaslFailed, secret);
        }

        credentials.Learn(user, secret, server.Keys);
        Writer.WriteAuthenticationSaslFinal(proof);
        return null;
    }

    private static ScramServer NewServer(ScramVerifier verifier, byte[]? endPoint)
    {
        Span<byte> random = stackalloc byte[ScramServer.NonceBytes];
        Syscalls.FillRandom(random);
        return new ScramServer(verifier, endPoint, random);
    }

    private static bool TryChallenge(ScramServer server, byte[] first, out byte[] challenge)
    {
        challenge = [];
        return SaslInitialResponse.TryParse(first, out SaslInitialResponse response, out _)
            && response.Mechanism.SequenceEqual("SCRAM-SHA-256-PLUS"u8) is var isPlus
            && (isPlus || response.Mechanism.SequenceEqual("SCRAM-SHA-256"u8))
            && response.HasData
            && server.TryChallenge(response.Data, out challenge, out _, isPlus);
    }

    private async ValueTask<byte[]?> ReadPasswordAsync(int limit)
    {
        byte[]? body = await login.ReadFrameAsync(FrontendMessage.Password, limit);
        return body != null && PasswordMessage.TryParse(body, out ReadOnlySpan<byte> password, out _) ? password.ToArray() : null;
    }

    private const int StartupLimit = ClientLogin.MaxStartup;
}
