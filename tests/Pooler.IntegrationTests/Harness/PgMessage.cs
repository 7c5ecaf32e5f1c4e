using System.Buffers.Binary;
using System.Text;

namespace Pooler.IntegrationTests.Harness;

/// <summary>One message as it came from the other side.</summary>
internal readonly record struct PgMessage(char Type, byte[] Body)
{
    /// <summary>Fields of an ErrorResponse or NoticeResponse by their letter.</summary>
    public Dictionary<char, string> Fields()
    {
        var fields = new Dictionary<char, string>();
        int at = 0;
        while (at < Body.Length && Body[at] != 0)
        {
            int end = Array.IndexOf(Body, (byte)0, at);
            fields[(char)Body[at]] = Encoding.UTF8.GetString(Body, at + 1, end - at - 1);
            at = end + 1;
        }

        return fields;
    }

    public string SqlState => Fields().GetValueOrDefault('C', "");

    /// <summary>Values of a DataRow, read as text.</summary>
    public string?[] Values()
    {
        var values = new string?[BinaryPrimitives.ReadInt16BigEndian(Body)];
        int at = 2;
        for (int i = 0; i < values.Length; i++)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(Body.AsSpan(at));
            at += 4;
            if (length < 0)
                continue;
            values[i] = Encoding.UTF8.GetString(Body, at, length);
            at += length;
        }

        return values;
    }

    /// <summary>Column names of a RowDescription.</summary>
    public string[] Columns()
    {
        var names = new string[BinaryPrimitives.ReadInt16BigEndian(Body)];
        int at = 2;
        for (int i = 0; i < names.Length; i++)
        {
            int end = Array.IndexOf(Body, (byte)0, at);
            names[i] = Encoding.UTF8.GetString(Body, at, end - at);
            at = end + 1 + 18;
        }

        return names;
    }

    /// <summary>The body as text without its terminator: a command tag, for example.</summary>
    public string Text() => Encoding.UTF8.GetString(Body).TrimEnd('\0');

    public override string ToString() => Type is 'E' or 'N'
        ? $"{Type}({string.Join(' ', Fields().Where(static field => field.Key is 'S' or 'C' or 'M').Select(static field => field.Value))})"
        : $"{Type}({Body.Length})";
}
