namespace Pooler.Config;

/// <summary>How far below ldapbasedn users are looked for; the values are the protocol's (RFC 4511, 4.5.1.2).</summary>
internal enum LdapScope
{
    Base = 0,
    OneLevel = 1,
    Subtree = 2,
}
