using System.Text;
using Pooler.Config;
using Pooler.Net;

namespace Pooler.Frontend;

/// <summary>
/// Whether an LDAP server takes a user with this password: by a simple bind under a name made of his, or under that which a search finds
/// (PostgreSQL documentation, 20.10). It blocks.
/// </summary>
internal static class LdapLogin
{
    /// <summary>Null when it does; else why not, for the log. Servers are asked in order, until one has an answer.</summary>
    public static string? Check(LdapOptions options, TimeSpan limit, string user, byte[] password)
    {
        // A bind without a password succeeds, as that of nobody (RFC 4513, 5.1.2).
        if (user.Length == 0 || password.Length == 0)
        {
            return "empty password";
        }

        string problem = "";
        foreach (string uri in options.Servers)
        {
            using var server = new LdapServer(uri, limit);
            LdapResult result = Ask(server, options, user, password);
            if (result.IsSuccess)
            {
                return null;
            }

            problem += $"{(problem.Length > 0 ? "; " : "")}{uri}: {result.Text}";
            if (!result.IsUnreachable)
            {
                break;
            }
        }

        return problem;
    }

    private static LdapResult Ask(LdapServer server, LdapOptions options, string user, byte[] password)
    {
        LdapResult result = server.Connect(options.StartTls);
        string name = "";
        if (result.IsSuccess)
        {
            result = options.BaseDn == null ? LdapResult.Success : Search(server, options, user, out name);
        }

        return result.IsSuccess ? server.Bind(options.BaseDn == null ? options.DnOf(user) : name, password) : result;
    }

    private static LdapResult Search(LdapServer server, LdapOptions options, string user, out string name)
    {
        name = "";
        LdapResult result = server.Bind(options.BindDn, Encoding.UTF8.GetBytes(options.BindPassword));
        return result.IsSuccess ? server.Find(options.BaseDn!, (int)options.Scope, options.FilterFor(user), out name) : result with { Text = $"ldapbinddn: {result.Text}" };
    }
}
