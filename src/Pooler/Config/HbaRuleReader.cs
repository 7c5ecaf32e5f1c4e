using System.Collections.Frozen;

namespace Pooler.Config;

/// <summary>Makes a rule of a line's fields, or an error that says what is wrong with it.</summary>
internal sealed class HbaRuleReader(List<ConfigError> errors, HashSet<string> maps)
{
    private static readonly FrozenDictionary<string, HbaConnection> s_connections = new Dictionary<string, HbaConnection>
    {
        ["local"] = HbaConnection.Local,
        ["host"] = HbaConnection.Host,
        ["hostssl"] = HbaConnection.HostSsl,
        ["hostnossl"] = HbaConnection.HostNoSsl,
        ["hostgssenc"] = HbaConnection.HostGss,
        ["hostnogssenc"] = HbaConnection.Host,
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<string, HbaMethod> s_methods = new Dictionary<string, HbaMethod>
    {
        ["reject"] = HbaMethod.Reject,
        ["trust"] = HbaMethod.Trust,
        ["password"] = HbaMethod.Password,
        ["md5"] = HbaMethod.Md5,
        ["scram-sha-256"] = HbaMethod.ScramSha256,
        ["peer"] = HbaMethod.Peer,
        ["cert"] = HbaMethod.Cert,
        ["ldap"] = HbaMethod.Ldap,
        ["pam"] = HbaMethod.Pam,
        ["oauth"] = HbaMethod.OAuth,
    }.ToFrozenDictionary();

    public HbaRule? Read(string file, int line, List<List<HbaName>> fields)
    {
        int at = 3;
        HbaAddress address = HbaAddress.All;
        HbaMethod method = HbaMethod.Reject;
        Dictionary<string, string> options = [];
        LdapOptions? ldap = null;
        HbaTls? tls = null;
        string? problem = TakeConnection(fields, out HbaConnection connection)
            ?? (connection == HbaConnection.Local ? null : TakeAddress(fields, ref at, out address))
            ?? (fields.Count > at ? NameProblem(fields[1], fields[2]) : "a line takes databases, users, an address (but for local) and a method")
            ?? TakeMethod(connection, fields, at, out method)
            ?? TakeOptions(connection, method, fields.Skip(at), options, out ldap, out tls);
        if (problem == null)
        {
            return new HbaRule($"{file}:{line}", connection, [.. fields[1]], [.. fields[2]], address, method, options.GetValueOrDefault("map"))
            {
                Tls = tls!,
                Ldap = ldap,
                PamService = options.GetValueOrDefault("pamservice"),
                Issuer = options.GetValueOrDefault("issuer"),
                Scope = options.GetValueOrDefault("scope"),
            };
        }

        errors.Add(new ConfigError(file, line, problem));
        return null;
    }

    private static string? TakeConnection(List<List<HbaName>> fields, out HbaConnection connection) =>
        s_connections.TryGetValue(fields[0][0].Text, out connection) && fields[0].Count == 1
            ? null
            : $"a line starts with {string.Join(", ", s_connections.Keys.Order())} or include, not \"{fields[0][0].Text}\"";

    private static string? TakeAddress(List<List<HbaName>> fields, ref int at, out HbaAddress address)
    {
        address = HbaAddress.All;
        if (fields.Count <= at)
        {
            return null; // Too short altogether.
        }

        if (fields[at].Count != 1 || !HbaAddress.TryParse(fields[at][0], out bool needsMask, out address))
        {
            string text = string.Join(',', fields[at].Select(static name => name.Text));
            return $"\"{text}\" is no address: all, samehost, samenet, an address with /bits, or an address and its mask (names of hosts are not looked up)";
        }

        at++;
        if (!needsMask)
        {
            return null;
        }

        if (fields.Count <= at || fields[at].Count != 1 || !HbaAddress.TryParse(fields[at - 1][0], fields[at][0], out address))
        {
            return $"address {fields[at - 1][0].Text} wants /bits, or a mask behind it";
        }

        at++;
        return null;
    }

    /// <summary>Who is member of what is known to the servers only, and regular expressions are not spoken here.</summary>
    private static string? NameProblem(List<HbaName> databases, List<HbaName> users)
    {
        HbaName group = databases.Find(static name => name.Is("samerole") || name.Is("samegroup"));
        HbaName role = users.Find(static name => name is { IsQuoted: false, Text: ['+', ..] });
        HbaName expression = databases.Concat(users).FirstOrDefault(static name => name is { IsQuoted: false, Text: ['/', ..] });
        return group.Text != null ? $"{group.Text} is not supported, roles are known to the servers only: name the databases"
            : role.Text != null ? $"{role.Text} is not supported, members of roles are known to the servers only: name the users"
            : expression.Text != null ? $"{expression.Text}: regular expressions are not supported"
            : null;
    }

    private static string? TakeMethod(HbaConnection connection, List<List<HbaName>> fields, int at, out HbaMethod method)
    {
        string word = fields[at][0].Text;
        if (!s_methods.TryGetValue(word, out method) || fields[at].Count > 1)
        {
            return $"method \"{word}\" is not supported: there are {string.Join(", ", s_methods.Keys.Order())}";
        }

        return method == HbaMethod.Peer && connection != HbaConnection.Local ? "peer is for local lines only"
            : method == HbaMethod.Cert && connection != HbaConnection.HostSsl ? "cert is for hostssl lines only"
            : null;
    }

    /// <param name="fields">The method and what stands behind it.</param>
    private string? TakeOptions(
        HbaConnection connection, HbaMethod method, IEnumerable<List<HbaName>> fields, Dictionary<string, string> options, out LdapOptions? ldap, out HbaTls? tls)
    {
        ldap = null;
        List<string> words = [.. fields.Skip(1).SelectMany(static field => field).Select(static option => option.Text)];
        tls = HbaTls.Take(words, connection, out string? problem);
        if (problem != null)
        {
            return problem;
        }

        if (method == HbaMethod.Ldap)
        {
            ldap = LdapOptionReader.Read(words, "", out problem);
            return problem;
        }

        foreach (string word in words)
        {
            (string name, string value) = word.Split('=', 2) is [var before, var behind] ? (before, behind) : (word, "");
            bool isKnown = name switch
            {
                "map" => method is HbaMethod.Peer or HbaMethod.Cert or HbaMethod.OAuth || tls!.ClientCert == HbaClientCert.VerifyFull,
                "issuer" or "scope" => method == HbaMethod.OAuth,
                "pamservice" => method == HbaMethod.Pam && value.Length > 0,
                _ => false,
            };
            if (!isKnown)
            {
                return $"option \"{name}\" is not supported with {fields.First()[0].Text}: there are map=… for peer, cert and oauth, issuer=… and scope=… for oauth, pamservice=… for pam, those of ldap, and of hostssl lines clientcert=…, clientname=… and sni=…";
            }

            options[name] = value;
        }

        return options.TryGetValue("map", out string? map) && !maps.Contains(map) ? $"map={map}: auth_ident_file has no such map"
            : options.TryGetValue("issuer", out string? issuer) && !OAuthConfig.IsIssuer(issuer) ? $"issuer={issuer} is not valid: {ValueKinds.IssuerUrl.Expected}"
            : null;
    }
}
