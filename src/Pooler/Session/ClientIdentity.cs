namespace Pooler.Session;

/// <summary>Who a client is: the database entry it asked for and the user it proved to be.</summary>
internal sealed record ClientIdentity(string Database, string User);
