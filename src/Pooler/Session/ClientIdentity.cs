namespace Pooler.Session;

/// <summary>Who a client is: the database entry it asked for and the user it proved to be.</summary>
internal readonly record struct ClientIdentity(string Database, string User);
