using System.Text;

namespace Pooler.Sql;

/// <summary>What a text means depends on: the catalogue of its database and two settings of its session.</summary>
public readonly record struct ClassifierContext(VolatileNames Names, bool HasConformingStrings = true, TextEncoding Encoding = TextEncoding.Utf8)
{
    /// <summary>What a value of client_encoding, as servers report it, means.</summary>
    public static TextEncoding EncodingOf(ReadOnlySpan<byte> name) =>
        Ascii.EqualsIgnoreCase(name, "UTF8"u8) ? TextEncoding.Utf8
        : Starts(name, "LATIN"u8) || Starts(name, "ISO_8859_"u8) || Starts(name, "WIN"u8) || Starts(name, "KOI8"u8) || Starts(name, "EUC_"u8)
            || Starts(name, "SQL_ASCII"u8) || Starts(name, "MULE_INTERNAL"u8) ? TextEncoding.HighBytes
        : TextEncoding.MixedBytes;

    private static bool Starts(ReadOnlySpan<byte> name, ReadOnlySpan<byte> start) =>
        name.Length >= start.Length && Ascii.EqualsIgnoreCase(name[..start.Length], start);
}
