using System.Collections.Immutable;
using System.Net;

namespace Pooler.Config;

/// <summary>One line of auth_hba_file.</summary>
/// <param name="Place">File and line, for the log.</param>
/// <param name="Map">The map of auth_ident_file that names must pass; null: the system's name, or the token's, is the user's.</param>
internal sealed record HbaRule(
    string Place, HbaConnection Connection, ImmutableArray<HbaName> Databases, ImmutableArray<HbaName> Users, HbaAddress Address, HbaMethod Method, string? Map)
{
    /// <summary>What is asked of TLS beside the method.</summary>
    public HbaTls Tls { get; init; } = HbaTls.None;

    /// <summary>For oauth: whose tokens, and what they must be good for; null: as oauth_issuer and oauth_scope say.</summary>
    public string? Issuer { get; init; }

    public string? Scope { get; init; }

    /// <summary>Of the method ldap.</summary>
    public LdapOptions? Ldap { get; init; }

    /// <summary>Of the method pam; null: pam_service.</summary>
    public string? PamService { get; init; }

    /// <param name="address">Null over a Unix socket.</param>
    /// <param name="serverName">The host a TLS client has asked for, empty if none; null without TLS.</param>
    public bool IsFor(IPAddress? address, string? serverName, string database, string user) =>
        IsFor(address, serverName) && Databases.Any(name => IsFor(name, database, user)) && Users.Any(name => name.Is("all") || name.Text == user);

    private bool IsFor(IPAddress? address, string? serverName) => Connection switch
    {
        HbaConnection.Local => address == null,
        HbaConnection.Host => address != null && Address.Holds(address),
        HbaConnection.HostSsl => address != null && serverName != null && Tls.IsFor(serverName) && Address.Holds(address),
        HbaConnection.HostNoSsl => address != null && serverName == null && Address.Holds(address),
        _ => false,
    };

    /// <summary>"replication" is for physical replication, which is refused before anybody is asked who he is.</summary>
    private static bool IsFor(HbaName name, string database, string user) =>
        name.Is("all") || (name.Is("sameuser") ? database == user : !name.Is("replication") && name.Text == database);
}
