using System.Text;

namespace Pooler.Config;

/// <summary>
/// Names of users in texts of LDAP. Whatever a client calls itself stands for these characters alone: without that a name is a part of
/// a filter or of a DN, and finds somebody else.
/// </summary>
internal static class LdapNames
{
    /// <summary>As a value in a filter (RFC 4515, 3).</summary>
    public static string ForFilter(string name)
    {
        var text = new StringBuilder(name.Length);
        foreach (char c in name)
        {
            _ = c is '*' or '(' or ')' or '\\' or '\0' ? text.Append($"\\{(int)c:x2}") : text.Append(c);
        }

        return text.ToString();
    }

    /// <summary>As a value in a DN (RFC 4514, 2.4).</summary>
    public static string ForDn(string name)
    {
        var text = new StringBuilder(name.Length);
        for (int i = 0; i < name.Length; i++)
        {
            bool isSpecial = name[i] is ',' or '+' or '"' or '\\' or '<' or '>' or ';' or '=' or '\0' or '\n' or '\r'
                || (name[i] == ' ' && (i == 0 || i == name.Length - 1)) || (name[i] == '#' && i == 0);
            _ = isSpecial ? text.Append($"\\{(int)name[i]:x2}") : text.Append(name[i]);
        }

        return text.ToString();
    }
}
