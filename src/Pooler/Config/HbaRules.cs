using System.Collections.Immutable;
using System.Net;

namespace Pooler.Config;

/// <summary>
/// The rules of auth_hba_file and the maps of auth_ident_file: PgBouncer's and more of PostgreSQL's (documentation, 20.1 and 20.2). A
/// line that says what we do not know is an error of the configuration, lest the lines below it let in whom it was to keep out; PgBouncer
/// logs it and goes on.
/// </summary>
internal sealed class HbaRules
{
    private readonly ImmutableArray<HbaRule> _rules;
    private readonly ImmutableArray<IdentLine> _idents;

    private HbaRules(ImmutableArray<HbaRule> rules, ImmutableArray<IdentLine> idents) => (_rules, _idents) = (rules, idents);

    public static HbaRules Load(string hbaFile, string? identFile, List<ConfigError> errors)
    {
        var idents = new HbaLines(errors);
        if (!string.IsNullOrEmpty(identFile))
        {
            idents.Read(identFile);
        }

        var lines = new HbaLines(errors);
        lines.Read(hbaFile);
        ImmutableArray<IdentLine> maps = [.. idents.Found.Select(line => IdentLine.Parse(line.File, line.Line, line.Fields, errors)).OfType<IdentLine>()];
        var reader = new HbaRuleReader(errors, maps.Select(static line => line.Map).ToHashSet());
        return new HbaRules([.. lines.Found.Select(line => reader.Read(line.File, line.Line, line.Fields)).OfType<HbaRule>()], maps);
    }

    /// <summary>All lines, in their order.</summary>
    public ImmutableArray<HbaRule> Rules => _rules;

    /// <summary>The first line that is for such a login; null: none, which rejects it.</summary>
    /// <param name="address">Null over a Unix socket.</param>
    /// <param name="serverName">The host a TLS client has asked for, empty if none; null without TLS.</param>
    public HbaRule? Find(IPAddress? address, string? serverName, string database, string user) => _rules.FirstOrDefault(rule => rule.IsFor(address, serverName, database, user));

    /// <summary>Some line lets in only who shows a certificate.</summary>
    public bool WantsCertificates => _rules.Any(static rule => rule.Method == HbaMethod.Cert || rule.Tls.ClientCert != HbaClientCert.NotAsked);

    public bool Use(HbaMethod method) => _rules.Any(rule => rule.Method == method);

    /// <summary>Whether somebody whom the system calls so may be this user.</summary>
    public bool Maps(string? map, string systemUser, string user) =>
        map == null ? systemUser == user : _idents.Any(line => line.Map == map && line.SystemUser == systemUser && (line.User.Is("all") || line.User.Text == user));
}
