using System.Net;
using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

/// <summary>auth_hba_file and auth_ident_file: what matches, and that what is not understood is an error.</summary>
public sealed class HbaRulesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("pooler-hba").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    // The first line that fits counts.
    [InlineData("host all all 10.0.0.0/8 md5\nhost all all all reject", "10.1.2.3", "d", "u", "Md5")]
    [InlineData("host all all 10.0.0.0/8 md5\nhost all all all reject", "11.1.2.3", "d", "u", "Reject")]
    [InlineData("host all all 10.0.0.0/8 md5", "11.1.2.3", "d", "u", null)]
    [InlineData("host all all 10.1.2.3/8 md5", "10.9.9.9", "d", "u", "Md5")]
    [InlineData("host all all 10.0.0.0 255.0.0.0 md5", "10.9.9.9", "d", "u", "Md5")]
    [InlineData("host all all 10.0.0.0 255.255.255.255 md5", "10.0.0.1", "d", "u", null)]
    [InlineData("host all all 0.0.0.0/0 md5", "::1", "d", "u", null)]
    [InlineData("host all all ::/0 md5", "127.0.0.1", "d", "u", null)]
    [InlineData("host all all ::1/128 md5", "::1", "d", "u", "Md5")]
    [InlineData("host all all fe80::/10 md5", "fe80::1", "d", "u", "Md5")]
    [InlineData("host all all 127.0.0.1/32 md5", "::ffff:127.0.0.1", "d", "u", "Md5")]
    [InlineData("host all all samehost trust", "127.0.0.1", "d", "u", "Trust")]
    [InlineData("host all all samehost trust", "127.0.0.9", "d", "u", null)]
    [InlineData("host all all samenet trust", "127.0.0.9", "d", "u", "Trust")]
    [InlineData("host all all samenet trust", "198.51.100.1", "d", "u", null)]
    // Unix sockets and TLS.
    [InlineData("local all all peer", null, "d", "u", "Peer")]
    [InlineData("local all all trust", "127.0.0.1", "d", "u", null)]
    [InlineData("host all all all trust", null, "d", "u", null)]
    [InlineData("hostssl all all all trust\nhostnossl all all all reject", "127.0.0.1", "d", "u", "Reject")]
    [InlineData("hostgssenc all all all trust", "127.0.0.1", "d", "u", null)]
    [InlineData("hostnogssenc all all all trust", "127.0.0.1", "d", "u", "Trust")]
    // Names.
    [InlineData("local a,b u,v trust", null, "b", "v", "Trust")]
    [InlineData("local a, b   u ,v\ttrust # why", null, "b", "v", "Trust")]
    [InlineData("local a,b u,v trust", null, "c", "v", null)]
    [InlineData("local sameuser all trust", null, "u", "u", "Trust")]
    [InlineData("local sameuser all trust", null, "d", "u", null)]
    [InlineData("local \"sameuser\" all trust", null, "u", "u", null)]
    [InlineData("local \"all\" all trust", null, "d", "u", null)]
    [InlineData("local \"all\" all trust", null, "all", "u", "Trust")]
    [InlineData("local \"a b\"\"c\" all trust", null, "a b\"c", "u", "Trust")]
    [InlineData("local replication all trust", null, "replication", "u", null)]
    [InlineData("local all \"+ops\" trust", null, "d", "+ops", "Trust")]
    [InlineData("local all \\\n all trust", null, "d", "u", "Trust")]
    [InlineData("\n# nothing\n   \nlocal all all scram-sha-256", null, "d", "u", "ScramSha256")]
    [InlineData("local all all password", null, "pgbouncer", "u", "Password")]
    public void TheFirstLineThatFitsCounts(string file, string? address, string database, string user, string? method)
    {
        HbaRules rules = Load(file, out List<ConfigError> errors);
        Assert.Empty(errors);
        Assert.Equal(method, rules.Find(address == null ? null : IPAddress.Parse(address), null, database, user)?.Method.ToString());
    }

    [Fact]
    public void TlsIsTold()
    {
        HbaRules rules = Load("hostnossl all all all reject\nhostssl all all all md5", out _);
        Assert.Equal(HbaMethod.Md5, rules.Find(IPAddress.Loopback, "", "d", "u")!.Method);
    }

    [Theory]
    [InlineData("hots all all all md5", 1, "a line starts with host")]
    [InlineData("local all all trust\nlocal all all", 2, "a line takes")]
    [InlineData("host all all", 1, "a line takes")]
    [InlineData("host all all md5", 1, "\"md5\" is no address")]
    [InlineData("host all all db.example.com md5", 1, "names of hosts are not looked up")]
    [InlineData("host all all 10.0.0.0/33 md5", 1, "is no address")]
    [InlineData("host all all 10.0.0.1 md5", 1, "wants /bits, or a mask")]
    [InlineData("host all all 10.0.0.0 255.0.255.0 md5", 1, "wants /bits, or a mask")]
    [InlineData("local all +ops trust", 1, "+ops is not supported")]
    [InlineData("local samerole all trust", 1, "samerole is not supported")]
    [InlineData("local all /^a trust", 1, "regular expressions")]
    [InlineData("local all all gss", 1, "method \"gss\" is not supported")]
    [InlineData("host all all all peer", 1, "peer is for local lines only")]
    [InlineData("local all all md5 map=x", 1, "option \"map\" is not supported with md5")]
    [InlineData("local all all peer map=x", 1, "auth_ident_file has no such map")]
    [InlineData("local all all peer issuer=https://id.example", 1, "option \"issuer\" is not supported with peer")]
    [InlineData("local all all oauth map=x", 1, "auth_ident_file has no such map")]
    [InlineData("local all all oauth validator=x", 1, "option \"validator\" is not supported with oauth")]
    [InlineData("local all all oauth delegate_ident_mapping=1", 1, "is not supported with oauth")]
    [InlineData("local all all oauth issuer=http://id.example", 1, "issuer=http://id.example is not valid: an https:// URL")]
    [InlineData("local all all oauth issuer=https://id.example/.well-known/openid-configuration", 1, "without /.well-known/")]
    [InlineData("local all all oauth issuer=", 1, "issuer= is not valid")]
    [InlineData("local all \"all trust", 1, "quotation mark")]
    [InlineData("local @nowhere all trust", 1, "@nowhere: could not read")]
    [InlineData("include nowhere", 0, "could not read")]
    [InlineData("include_dir nowhere", 1, "there is no folder")]
    [InlineData("include hba", 1, "nested more than 10 deep")]
    [InlineData("include hba\ninclude hba\ninclude hba\ninclude hba\ninclude hba\ninclude hba\ninclude hba\ninclude hba\n", 1, "nested more than 10 deep")]
    [InlineData("local @hba,@hba,@hba,@hba,@hba,@hba,@hba,@hba all trust", 1, "nested more than 10 deep")]
    public void WhatIsNotUnderstoodIsAnError(string file, int line, string message)
    {
        Load(file, out List<ConfigError> errors);
        ConfigError error = Assert.Single(errors);
        Assert.Equal(line, error.Line);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LdapAndPamHaveTheirOptions()
    {
        HbaRules rules = Load("local a all ldap ldapserver=\"x y\" ldapprefix=\"uid=\" ldapsuffix=\", o=z\" # why\nlocal b all pam pamservice=db\nlocal c all pam", out List<ConfigError> errors);
        Assert.Empty(errors);
        HbaRule ldap = rules.Find(null, null, "a", "u")!;
        Assert.Equal("ldap://x:389 ldap://y:389 uid=u, o=z", $"{string.Join(' ', ldap.Ldap!.Servers)} {ldap.Ldap.DnOf("u")}");
        Assert.Equal("db", rules.Find(null, null, "b", "u")!.PamService);
        Assert.Null(rules.Find(null, null, "c", "u")!.PamService);
        Assert.True(rules.Use(HbaMethod.Pam) && !rules.Use(HbaMethod.Peer));
    }

    [Fact]
    public void FilesAreIncluded()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "more"));
        File.WriteAllText(Path.Combine(_folder, "more", "b.conf"), "local all all reject");
        File.WriteAllText(Path.Combine(_folder, "more", "a.conf"), "local a @users trust");
        File.WriteAllText(Path.Combine(_folder, "more", "users"), "u, v # those\nw\n");
        HbaRules rules = Load("include_if_exists nothing\ninclude_dir more", out List<ConfigError> errors);
        Assert.Empty(errors);
        Assert.Equal([HbaMethod.Trust, HbaMethod.Trust, HbaMethod.Reject], ((string[])["u", "w", "x"]).Select(user => rules.Find(null, null, "a", user)!.Method));
    }

    /// <summary>A list without names is for nobody, wherever it stands.</summary>
    [Theory]
    [InlineData("local @empty all trust", null)]
    [InlineData("local all @empty trust", null)]
    [InlineData("@empty all all trust", "a line starts with")]
    [InlineData("local all all @empty", "method \"\" is not supported")]
    [InlineData("include @empty", "could not read")]
    public void AnEmptyListIsForNobody(string file, string? problem)
    {
        File.WriteAllText(Path.Combine(_folder, "empty"), "# nobody\n");
        HbaRules rules = Load(file, out List<ConfigError> errors);
        Assert.Null(rules.Find(null, null, "d", "u"));
        Assert.Equal(problem != null, errors.Count > 0);
        Assert.All(errors, error => Assert.Contains(problem!, error.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void OAuthLinesHaveTheirIssuerAndScopes()
    {
        HbaRules rules = Load("local a all oauth issuer=https://id.example/x scope=\"openid db\"\nlocal all all oauth", out List<ConfigError> errors);
        Assert.Empty(errors);
        Assert.Equal([("https://id.example/x", "openid db"), (null, null)], rules.Rules.Select(static rule => (rule.Issuer, rule.Scope)));
        Assert.All(rules.Rules, static rule => Assert.Equal(HbaMethod.OAuth, rule.Method));
    }

    [Fact]
    public void MapsSayWhoMayBeWhom()
    {
        HbaRules rules = Load("local all all peer map=ops", out List<ConfigError> errors, "ops root admin\nops \"www data\" all\nother mail admin");
        Assert.Empty(errors);
        Assert.True(rules.Maps("ops", "root", "admin"));
        Assert.False(rules.Maps("ops", "root", "app"));
        Assert.True(rules.Maps("ops", "www data", "app"));
        Assert.False(rules.Maps("ops", "mail", "admin"));
        Assert.True(rules.Maps(null, "app", "app"));
        Assert.False(rules.Maps(null, "app", "admin"));
    }

    private HbaRules Load(string text, out List<ConfigError> errors, string? ident = null)
    {
        string file = Path.Combine(_folder, "hba"), identFile = Path.Combine(_folder, "ident");
        File.WriteAllText(file, text);
        if (ident != null)
        {
            File.WriteAllText(identFile, ident);
        }

        errors = [];
        return HbaRules.Load(file, ident == null ? null : identFile, errors);
    }
}
