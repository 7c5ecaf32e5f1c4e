using System.Buffers.Binary;
using System.Text;

namespace Pooler.Protocol;

/// <summary>A DataRow of text values, as our own questions bring; null is SQL's NULL.</summary>
public static class DataRow
{
    /// <summary>Its values; none at all when it is not a whole row.</summary>
    public static List<string?> Values(ReadOnlySpan<byte> body)
    {
        var values = new List<string?>();
        for (int left = body.Length < 2 ? 0 : BinaryPrimitives.ReadInt16BigEndian(body), at = 2; left > 0; left--)
        {
            int length = body.Length - at < 4 ? int.MaxValue : BinaryPrimitives.ReadInt32BigEndian(body[at..]);
            at += 4;
            if (length > body.Length - at)
            {
                return [];
            }

            values.Add(length < 0 ? null : Encoding.UTF8.GetString(body.Slice(at, length)));
            at += Math.Max(length, 0);
        }

        return values;
    }
}
