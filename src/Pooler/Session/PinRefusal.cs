using System.Globalization;
using System.Text;
using Pooler.Backend;
using Pooler.Net;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// pin = refuse. PostgreSQL itself fails the transaction or the batch, over a word that is no SQL; the error is put into our words.
/// </summary>
internal static class PinRefusal
{
    private static ReadOnlySpan<byte> Word => "pooler_pin_refused_"u8;

    /// <summary>Why a text is refused; null when it is not.</summary>
    public static PinReason? Of(ReadOnlySpan<byte> text)
    {
        if (!PinScan.IsLikely(text) && !StateScan.MayLeaveState(text))
        {
            return null;
        }

        var scan = new PinScan(text);
        while (scan.Next())
        {
            if (scan.Reason != PinReason.Setting || SessionParameters.IndexOf(Encoding.UTF8.GetString(scan.Name)) < 0)
            {
                return scan.Reason;
            }
        }

        return null;
    }

    public static void Write(Outbox outbox, bool isQuery, PinReason reason)
    {
        string text = Encoding.ASCII.GetString(Word) + ((int)reason).ToString(CultureInfo.InvariantCulture);
        if (isQuery)
        {
            new MessageWriter(outbox).WriteQuery(text);
        }
        else
        {
            StatementMessages.WriteParse(outbox, default, [.. Encoding.ASCII.GetBytes(text), 0, 0, 0]);
        }
    }

    /// <summary>Why, if this error of the server is about such a word.</summary>
    public static PinReason? Reason(ReadOnlySpan<byte> body)
    {
        int at = body.IndexOf(Word);
        return at >= 0 && System.Buffers.Text.Utf8Parser.TryParse(body[(at + Word.Length)..], out int reason, out _) ? (PinReason)reason : null;
    }
}
