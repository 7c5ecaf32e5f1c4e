namespace Pooler.Net;

/// <summary>How an LDAP operation ended.</summary>
/// <param name="Code">The server's (RFC 4511, 4.1.9), or libldap's own, which are negative.</param>
/// <param name="Text">For the log.</param>
internal readonly record struct LdapResult(int Code, string Text)
{
    private const int Busy = 51, Unavailable = 52, NotFoundOrSeveral = 94;

    public static readonly LdapResult Success = new(0, "");

    public bool IsSuccess => Code == 0;

    /// <summary>This server has decided nothing: another may.</summary>
    public bool IsUnreachable => Code is < 0 or Busy or Unavailable;

    public static LdapResult NoSuchUser(string text) => new(NotFoundOrSeveral, text);
}
