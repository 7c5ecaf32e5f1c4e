using System.Security.Cryptography;
using System.Text;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// Logins whose password somebody else checks: an LDAP server, PAM. The client shows it in clear text. auth_file and auth_query are
/// not asked who the user is (PgBouncer's src/pam.c, src/ldapauth.c).
/// </summary>
internal sealed class ExternalLogin(ClientLogin login, LoginContext context, DatabaseConfig? database)
{
    private PoolerConfig Config => context.Live.Current;

    /// <summary>A library that logins ask for and that is not there. Not for I/O threads.</summary>
    public static string? Missing(PoolerConfig config)
    {
        AuthType type = config.Get(Settings.AuthType);
        bool isLdap = type == AuthType.Ldap || config.Hba?.Use(HbaMethod.Ldap) == true, isPam = type == AuthType.Pam || config.Hba?.Use(HbaMethod.Pam) == true;
        return isLdap && !LdapLibrary.IsThere ? "logins by ldap will fail: libldap is not installed (Debian: libldap-2.5-0 or libldap2)"
            : isPam && !PamLibrary.IsThere ? "logins by pam will fail: libpam.so.0 is not installed (Debian: libpam0g)"
            : null;
    }

    /// <param name="options">Null: a SET has asked for ldap without any.</param>
    public ValueTask<ErrorFields?> LdapAsync(LdapOptions? options, string user)
    {
        TimeSpan limit = Config.Get(Settings.LdapTimeout) is { Ticks: > 0 } own ? own
            : Config.Get(Settings.ClientLoginTimeout) is { Ticks: > 0 } ofLogin ? ofLogin : TimeSpan.FromDays(1);
        return RunAsync(context.LdapChecks, user, LoginErrors.LdapFailed,
            password => options == null ? "auth_ldap_options is not set" : LdapLogin.Check(options, limit, user, password));
    }

    public ValueTask<ErrorFields?> PamAsync(string? service, string user)
    {
        string name = service ?? Config.Get(Settings.PamService), host = login.IsUnix ? "[local]" : login.Client.Name(peer: true).Address;
        return RunAsync(context.PamChecks, user, LoginErrors.PamFailed, password => PamLibrary.Check(name, user, password, host));
    }

    private async ValueTask<ErrorFields?> RunAsync(PasswordChecks checks, string user, ClientError failed, Func<byte[], string?> check)
    {
        new MessageWriter(login.Client.Outbox).WriteAuthenticationCleartext();
        byte[]? body = await login.ReadFrameAsync(FrontendMessage.Password, ClientLogin.MaxStartup);
        byte[]? password = PasswordOf(body);
        if (password == null)
        {
            return failed.Fields(); // Malformed, or empty, which is never a password here.
        }

        string? forServers = IsForServers(user) ? TextOf(password) : null;
        if (!await login.CheckAsync(checks, new PasswordCheck(login.Client, password, check)))
        {
            return failed.Fields();
        }

        if (forServers != null)
        {
            context.Credentials.LearnPassword(database!, user, forServers);
        }

        return null;
    }

    /// <summary>PgBouncer: servers whose password the configuration does not know are logged in to with the client's.</summary>
    private bool IsForServers(string user) =>
        database is { ForcedUser: null, Password: null } && context.Credentials.SecretOf(user) == null;

    private static byte[]? PasswordOf(byte[]? body)
    {
        byte[]? password = body != null && PasswordMessage.TryParse(body, out ReadOnlySpan<byte> text, out _) ? text.ToArray() : null;
        CryptographicOperations.ZeroMemory(body);
        return password;
    }

    /// <summary>Null when it is no UTF-8: it would not come back as it was.</summary>
    private static string? TextOf(byte[] password) => System.Text.Unicode.Utf8.IsValid(password) ? Encoding.UTF8.GetString(password) : null;
}
