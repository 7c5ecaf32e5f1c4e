using System.Collections.Immutable;
using System.Globalization;
using System.Net;

namespace Pooler.Config;

/// <summary>
/// Makes <see cref="LdapOptions"/> of PostgreSQL's options, those of an HBA line or of auth_ldap_options. Problems name options, never
/// what was written: a password is among that.
/// </summary>
internal sealed class LdapOptionReader
{
    private const string Known = "ldapserver, ldapport, ldapscheme, ldaptls, ldapprefix, ldapsuffix, ldapbasedn, ldapbinddn, ldapbindpasswd, "
        + "ldapsearchattribute, ldapsearchfilter and ldapurl";

    private string _scheme = "ldap";
    private string? _servers, _prefix, _suffix, _baseDn, _bindDn, _bindPassword, _attribute, _filter;
    private LdapScope _scope = LdapScope.Subtree;
    private int? _port;
    private bool _startTls;

    /// <summary>The value of auth_ldap_options: name=value between blanks or commas, values with these in them in quotes.</summary>
    public static LdapOptions? Parse(string text, out string? problem)
    {
        List<string> words = [];
        problem = null;
        for (int position = 0; ;)
        {
            while (position < text.Length && (char.IsWhiteSpace(text[position]) || text[position] == ','))
            {
                position++;
            }

            if (position >= text.Length)
            {
                return Read(words, text, out problem);
            }

            if (!HbaLines.TryTake(text, ref position, hasComments: false, out HbaName word))
            {
                problem = "a quotation mark is not closed";
                return null;
            }

            words.Add(word.Text);
        }
    }

    /// <summary>Null when there is a problem.</summary>
    public static LdapOptions? Read(IEnumerable<string> words, string text, out string? problem)
    {
        var reader = new LdapOptionReader();
        problem = null;
        foreach (string word in words)
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            problem ??= equals < 0 ? $"ldap: name=value is wanted for each of {Known}" : reader.Take(word[..equals], word[(equals + 1)..]);
        }

        problem ??= reader.Problem();
        return problem == null ? reader.Options(text) : null;
    }

    private string? Take(string name, string value)
    {
        switch (name)
        {
            case "ldapserver": _servers = value; return null;
            case "ldapprefix": _prefix = value; return null;
            case "ldapsuffix": _suffix = value; return null;
            case "ldapbasedn": _baseDn = value; return null;
            case "ldapbinddn": _bindDn = value; return null;
            case "ldapbindpasswd": _bindPassword = value; return null;
            case "ldapsearchattribute": _attribute = value; return null;
            case "ldapsearchfilter": _filter = value; return null;
            case "ldapurl": return TakeUrl(value);
            case "ldapport": return TakePort(value, "ldapport wants a port from 1 to 65535");
            case "ldapscheme": return TakeScheme(value, "ldapscheme is ldap or ldaps");
            case "ldaptls":
                _startTls = value == "1";
                return value is "0" or "1" ? null : "ldaptls is 0 or 1";
            default:
                return $"an option of ldap is not known, or its value wants quotes: there are {Known}";
        }
    }

    private string? TakePort(string text, string problem)
    {
        bool isRight = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= 65535;
        _port = port;
        return isRight ? null : problem;
    }

    private string? TakeScheme(string text, string problem)
    {
        _scheme = text;
        return text is "ldap" or "ldaps" ? null : problem;
    }

    /// <summary>ldap://host:port/basedn?attribute?scope?filter (RFC 4516); of several attributes the first counts.</summary>
    private string? TakeUrl(string url)
    {
        const string form = "ldapurl is ldap://host:port/basedn?attribute?scope?filter, or ldaps://…";
        int colon = url.IndexOf("://", StringComparison.Ordinal);
        if (colon < 0 || TakeScheme(url[..colon].ToLowerInvariant(), form) != null)
        {
            return form;
        }

        string[] halves = url[(colon + 3)..].Split('/', 2);
        string[] parts = halves.Length > 1 ? halves[1].Split('?') : [""];
        string host = halves[0];
        int port = host.LastIndexOf(':');
        if (port > host.LastIndexOf(']'))
        {
            if (TakePort(host[(port + 1)..], form) is { } problem)
            {
                return problem;
            }

            host = host[..port];
        }

        _servers = host.Length > 0 ? Uri.UnescapeDataString(host) : _servers;
        _baseDn = Uri.UnescapeDataString(parts[0]);
        _attribute = Part(1)?.Split(',')[0] ?? _attribute;
        _filter = Part(3) ?? _filter;
        LdapScope? scope = Part(2)?.ToLowerInvariant() switch
        {
            null or "base" => LdapScope.Base, // RFC 4516: that is what it means when it is left out.
            "one" or "onelevel" => LdapScope.OneLevel,
            "sub" or "subtree" => LdapScope.Subtree,
            _ => null,
        };
        _scope = scope ?? _scope;
        return scope != null && parts.Length <= 4 ? null : form;

        string? Part(int index) => parts.Length > index && parts[index].Length > 0 ? Uri.UnescapeDataString(parts[index]) : null;
    }

    private string? Problem()
    {
        bool isSearch = (_baseDn ?? _bindDn ?? _bindPassword ?? _attribute ?? _filter) != null, isNamed = (_prefix ?? _suffix) != null;
        return string.IsNullOrWhiteSpace(_servers) ? "ldap needs ldapserver, or ldapurl with a host"
            : isSearch && isNamed ? "ldapprefix and ldapsuffix do not go together with ldapurl, ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute and ldapsearchfilter"
            : !isNamed && _baseDn == null ? "ldap needs ldapbasedn, ldapprefix or ldapsuffix"
            : _attribute != null && _filter != null ? "ldapsearchattribute and ldapsearchfilter do not go together"
            : _attribute?.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or ';') == false ? "ldapsearchattribute is no name of an attribute"
            : _filter?.Contains(LdapOptions.UserPlace, StringComparison.Ordinal) == false
                ? $"ldapsearchfilter lacks {LdapOptions.UserPlace}: it would find the same entry for every user"
            : _startTls && _scheme == "ldaps" ? "ldaptls is for ldap, not for ldaps, which is TLS already"
            : Hosts().Any(static host => Uri.CheckHostName(host) == UriHostNameType.Unknown) ? "ldapserver has something that is no name of a host and no address"
            : null;
    }

    private LdapOptions Options(string text) => new()
    {
        Text = text,
        Servers = [.. Hosts().Select(host => $"{_scheme}://{(IsAddress6(host) ? $"[{host}]" : host)}:{_port ?? (_scheme == "ldaps" ? 636 : 389)}")],
        StartTls = _startTls,
        Prefix = _prefix ?? "",
        Suffix = _suffix ?? "",
        BaseDn = _baseDn,
        Scope = _scope,
        BindDn = _bindDn ?? "",
        BindPassword = _bindPassword ?? "",
        Filter = FilterText(),
    };

    /// <summary>A filter of a URL may lack its brackets.</summary>
    private string FilterText() =>
        _filter == null ? $"({_attribute ?? "uid"}={LdapOptions.UserPlace})" : _filter.StartsWith('(') ? _filter : $"({_filter})";

    private IEnumerable<string> Hosts() =>
        _servers!.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(static host => host is ['[', .. var address, ']'] ? address : host);

    private static bool IsAddress6(string host) => host.Contains(':', StringComparison.Ordinal) && IPAddress.TryParse(host, out _);
}
