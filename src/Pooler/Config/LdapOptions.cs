using System.Collections.Immutable;

namespace Pooler.Config;

/// <summary>
/// Which LDAP servers check the passwords of users, and how a user is found there (PostgreSQL documentation, 20.10): by a name made of
/// ldapprefix and ldapsuffix, or by a search. No record: nothing prints its password by accident.
/// </summary>
internal sealed class LdapOptions
{
    /// <summary>What stands for the user's name in ldapsearchfilter.</summary>
    public const string UserPlace = "$username";

    /// <summary>As it was written; holds ldapbindpasswd.</summary>
    public string Text { get; init; } = "";

    /// <summary>ldap://host:port, or ldaps://host:port, asked in this order.</summary>
    public required ImmutableArray<string> Servers { get; init; }

    /// <summary>StartTLS before anything else is said.</summary>
    public required bool StartTls { get; init; }

    public string Prefix { get; init; } = "";

    public string Suffix { get; init; } = "";

    /// <summary>Where users are searched for; null: they are not, their name is made of prefix and suffix.</summary>
    public string? BaseDn { get; init; }

    public LdapScope Scope { get; init; } = LdapScope.Subtree;

    /// <summary>Who searches; empty: nobody in particular.</summary>
    public string BindDn { get; init; } = "";

    public string BindPassword { get; init; } = "";

    /// <summary>With <see cref="UserPlace"/> in it.</summary>
    public string Filter { get; init; } = "";

    public string FilterFor(string user) => Filter.Replace(UserPlace, LdapNames.ForFilter(user), StringComparison.Ordinal);

    public string DnOf(string user) => Prefix + LdapNames.ForDn(user) + Suffix;
}
