namespace Pooler.Sql;

/// <summary>How a client writes letters beyond ASCII (client_encoding).</summary>
public enum TextEncoding : byte
{
    /// <summary>As the names of the catalogue are written.</summary>
    Utf8,

    /// <summary>Otherwise, but with no ASCII byte in a letter beyond ASCII.</summary>
    HighBytes,

    /// <summary>A letter may have ASCII bytes (SJIS, BIG5, GBK, …): such texts cannot be read before PostgreSQL has converted them.</summary>
    MixedBytes,
}
