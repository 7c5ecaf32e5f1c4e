using Pooler.Config;
using Xunit;

namespace Pooler.Tests.Config;

/// <summary>PostgreSQL's options for ldap: what they mean together, that what is not understood is an error, and that a user is only ever a value.</summary>
public sealed class LdapOptionsTests
{
    [Theory]
    [InlineData("ldapserver=a ldapprefix=\"uid=\" ldapsuffix=\",dc=x\"", "ldap://a:389", null, "")]
    [InlineData("ldapserver=\"a b.example ::1 [::2]\" ldapport=1389 ldapbasedn=\"dc=x,dc=y\"", "ldap://a:1389 ldap://b.example:1389 ldap://[::1]:1389 ldap://[::2]:1389", "dc=x,dc=y Subtree", "(uid=$username)")]
    [InlineData("ldapserver=a, ldapscheme=ldaps, ldapbasedn=o ldapsearchattribute=mail", "ldaps://a:636", "o Subtree", "(mail=$username)")]
    [InlineData("ldapserver=a ldaptls=1 ldapbasedn=o ldapsearchfilter=\"(|(uid=$username)(mail=$username))\"", "ldap://a:389 StartTLS", "o Subtree", "(|(uid=$username)(mail=$username))")]
    [InlineData("ldapurl=\"ldap://127.0.0.1:12345/dc=example,dc=net?uid?sub\"", "ldap://127.0.0.1:12345", "dc=example,dc=net Subtree", "(uid=$username)")]
    [InlineData("ldapurl=\"ldaps://[::1]/dc=a%20b??one?(cn=$username)\"", "ldaps://[::1]:636", "dc=a b OneLevel", "(cn=$username)")]
    [InlineData("ldapurl=\"LDAP://a/o?cn,sn\"", "ldap://a:389", "o Base", "(cn=$username)")]
    [InlineData("ldapurl=\"ldap://a%20b/o???uid=$username\"", "ldap://a:389 ldap://b:389", "o Base", "(uid=$username)")]
    public void OptionsAreRead(string text, string servers, string? search, string filter)
    {
        LdapOptions? options = LdapOptionReader.Parse(text, out string? problem);
        Assert.Null(problem);
        Assert.Equal(servers, string.Join(' ', options!.Servers) + (options.StartTls ? " StartTLS" : ""));
        Assert.Equal(search, options.BaseDn == null ? null : $"{options.BaseDn} {options.Scope}");
        Assert.Equal(search == null ? "" : filter, options.BaseDn == null ? "" : options.Filter);
    }

    [Theory]
    [InlineData("", "needs ldapserver")]
    [InlineData("ldapserver=a", "needs ldapbasedn, ldapprefix or ldapsuffix")]
    [InlineData("ldapbasedn=o", "needs ldapserver")]
    [InlineData("ldapserver=a ldapprefix=x ldapbasedn=o", "do not go together")]
    [InlineData("ldapurl=ldap://a/o ldapprefix=x", "do not go together")]
    [InlineData("ldapserver=a ldapbasedn=o ldapsearchattribute=cn ldapsearchfilter=(cn=$username)", "do not go together")]
    [InlineData("ldapserver=a ldapbasedn=o ldapsearchattribute=a)(b", "no name of an attribute")]
    [InlineData("ldapserver=a ldapbasedn=o ldapsearchfilter=(uid=admin)", "the same entry for every user")]
    [InlineData("ldapserver=a ldapprefix=x ldaptls=yes", "ldaptls is 0 or 1")]
    [InlineData("ldapserver=a ldapprefix=x ldaptls=1 ldapscheme=ldaps", "TLS already")]
    [InlineData("ldapserver=a ldapprefix=x ldapscheme=ldapi", "ldapscheme is")]
    [InlineData("ldapserver=a ldapprefix=x ldapport=0", "ldapport wants")]
    [InlineData("ldapserver=\"a/b\" ldapprefix=x", "no name of a host")]
    [InlineData("ldapurl=http://a/o", "ldapurl is")]
    [InlineData("ldapurl=\"ldap://a:x/o\"", "ldapurl is")]
    [InlineData("ldapurl=\"ldap://a/o?uid?everywhere\"", "ldapurl is")]
    [InlineData("ldapurl=\"ldap://a/o?uid?sub?(uid=$username)?ext\"", "ldapurl is")]
    [InlineData("ldapserver=a ldapprefix=x ldapfoo=hush", "not known")]
    [InlineData("ldapserver=a ldapbasedn=o ldapbindpasswd=hush,hush=2", "not known")]
    [InlineData("ldapserver=a ldapbasedn=o ldapbindpasswd=hush,hush", "name=value is wanted")]
    [InlineData("ldapurl=ldap://a/o?cn,sn?base", "name=value is wanted")] // A comma ends the value, as in pg_hba.conf.
    [InlineData("ldapserver=a ldapprefix=\"x", "quotation mark")]
    public void WhatIsNotUnderstoodIsAnErrorAndRepeatsNoSecret(string text, string expected)
    {
        Assert.Null(LdapOptionReader.Parse(text, out string? problem));
        Assert.Contains(expected, problem, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("*", "\\2a", "*")]
    [InlineData("a)(uid=*", "a\\29\\28uid=\\2a", "a)(uid\\3d*")]
    [InlineData("a\\b", "a\\5cb", "a\\5cb")]
    [InlineData("a\0b", "a\\00b", "a\\00b")]
    [InlineData("a,ou=x", "a,ou=x", "a\\2cou\\3dx")]
    [InlineData("a+cn=b;\"<>", "a+cn=b;\"<>", "a\\2bcn\\3db\\3b\\22\\3c\\3e")]
    [InlineData(" a b ", " a b ", "\\20a b\\20")]
    [InlineData("#1", "#1", "\\231")]
    [InlineData("$username", "$username", "$username")]
    [InlineData("müller", "müller", "müller")]
    public void AUserIsOnlyAValue(string user, string inFilter, string inDn)
    {
        Assert.Equal($"(|(uid={inFilter})(cn={inFilter}))", LdapOptionReader.Parse("ldapserver=a ldapbasedn=o ldapsearchfilter=(|(uid=$username)(cn=$username))", out _)!.FilterFor(user));
        Assert.Equal($"uid={inDn},o=x", LdapOptionReader.Parse("ldapserver=a ldapprefix=uid= ldapsuffix=\",o=x\"", out _)!.DnOf(user));
    }

    [Fact]
    public void TheSettingIsReadAndNeverShown()
    {
        const string text = "ldapserver=a ldapbasedn=o ldapbindpasswd=\"a#b\"\"c\"";
        using var folder = new TempFolder();
        PoolerConfig config = folder.LoadRight($"[pgbouncer]\nauth_type = ldap\nauth_ldap_options = {text}\n");
        Assert.Equal("a#b\"c", config.Get(Settings.AuthLdapOptions)!.BindPassword);
        Assert.Equal("********", config.GetText(Settings.AuthLdapOptions));
        Assert.Contains("auth_type = ldap needs auth_ldap_options", Assert.Single(folder.LoadWrong("[pgbouncer]\nauth_type = ldap\n")), StringComparison.Ordinal);
        string error = Assert.Single(folder.LoadWrong("[pgbouncer]\nauth_type = trust\nauth_ldap_options = ldapserver=a ldapbindpasswd=hush\n"));
        Assert.Contains("auth_ldap_options is not valid: ldap needs ldapbasedn", error, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", error, StringComparison.Ordinal);
    }
}
