using System.Text;
using Pooler.Backend;
using Pooler.Protocol;
using Pooler.Routing;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// What a client's next request is to the router, from the bytes in the look-ahead: a Query, or a batch up to its Sync as one. What
/// is not there as a whole, or is not told by its text, is a write.
/// </summary>
internal sealed class RequestClassifier(ClientSession session)
{
    private ClassifierContext _context;
    private SessionParameters? _contextOf;

    /// <param name="data">From the front of the request on.</param>
    /// <param name="statements">The client's names; null if it has none yet.</param>
    public RouteRequest Classify(ReadOnlySpan<byte> data, ClientStatements? statements, VolatileNames names)
    {
        UseContext(names);
        var request = default(RouteRequest);
        bool hasParsed = false, hasNamed = false;
        while (data.Length >= FrameHeader.Size)
        {
            long length = FrameHeader.FrameLength(data);
            if (length > data.Length)
            {
                break;
            }

            ReadOnlySpan<byte> body = data[FrameHeader.Size..(int)length];
            switch (data[0])
            {
                case FrontendMessage.Query:
                    return WithText(request, body);
                case FrontendMessage.Sync or FrontendMessage.Terminate:
                    return request;
                case FrontendMessage.Flush or FrontendMessage.FunctionCall:
                    return Unknown(request); // Nobody knows what follows the Flush, nor what goes by a number.
                case FrontendMessage.Parse:
                    int end = body.IndexOf((byte)0);
                    hasParsed |= end == 0;
                    hasNamed |= end > 0;
                    request = WithText(request, body[(end + 1)..]);
                    break;
                case FrontendMessage.Bind:
                    request = WithBound(request, body, statements, hasParsed, hasNamed);
                    break;
            }

            data = data[(int)length..];
        }

        return Unknown(request);
    }

    /// <summary>A text by itself.</summary>
    public RouteRequest ClassifyText(ReadOnlySpan<byte> text, VolatileNames names)
    {
        UseContext(names);
        return WithText(default, text);
    }

    private static RouteRequest Unknown(in RouteRequest request) => RouteRequest.Unknown with { Hint = request.Hint };

    private void UseContext(VolatileNames names)
    {
        if (!ReferenceEquals(_contextOf, session.Parameters))
        {
            _contextOf = session.Parameters;
            _context = new ClassifierContext(names, _contextOf.HasConformingStrings, _contextOf.TextEncoding);
        }

        if (!ReferenceEquals(_context.Names, names))
        {
            _context = _context with { Names = names };
        }
    }

    private RouteRequest WithText(in RouteRequest request, ReadOnlySpan<byte> text)
    {
        StatementSummary summary = StatementClassifier.Classify(text, _context);
        return request.And(summary, FollowsClient(summary, text));
    }

    /// <summary>Bind of a statement: of this batch, whose text was looked at already, or of an earlier one.</summary>
    private RouteRequest WithBound(in RouteRequest request, ReadOnlySpan<byte> body, ClientStatements? statements, bool hasParsed, bool hasNamed)
    {
        if (!StatementName.Find(FrontendMessage.Bind, body, out int start, out int length) || length == 0)
        {
            return hasParsed ? request : Unknown(request);
        }

        if (statements?.FindAsNamed(body.Slice(start, length)) is not { } statement)
        {
            return hasNamed ? request : Unknown(request);
        }

        ClassifiedText? classified = statement.Classified;
        if (classified == null || !ReferenceEquals(classified.Names, _context.Names))
        {
            StatementSummary summary = StatementClassifier.Classify(statement.Text, _context);
            statement.Classified = classified = new ClassifiedText(_context.Names, summary, FollowsClient(summary, statement.Text));
        }

        return request.And(classified.Summary, classified.FollowsClient);
    }

    /// <summary>
    /// SET and RESET of what servers report, DISCARD, DEALLOCATE: the client has it wherever it goes. A session's state it is, that
    /// no other server has, if it would keep the client on its server.
    /// </summary>
    private static bool FollowsClient(in StatementSummary summary, ReadOnlySpan<byte> text)
    {
        if (summary.Class != StatementClass.Session || summary.IsSeveral)
        {
            return false;
        }

        text = text.TrimStart(" \t\r\n"u8);
        bool mayFollow = Starts(text, "set"u8) || Starts(text, "reset"u8) || Starts(text, "discard"u8) || Starts(text, "deallocate"u8);
        return mayFollow && !SaysReadOnly(text) && PinRefusal.Of(text) == null;
    }

    /// <summary>default_transaction_read_only: a host that takes writes and must not is not told that it may.</summary>
    private static bool SaysReadOnly(ReadOnlySpan<byte> text)
    {
        ReadOnlySpan<byte> name = "read_only"u8;
        bool says = text.Contains((byte)'"');
        for (int i = 0; !says && i + name.Length <= text.Length; i++)
        {
            says = (text[i] | 0x20) == name[0] && Ascii.EqualsIgnoreCase(text.Slice(i, name.Length), name);
        }

        return says;
    }

    private static bool Starts(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word) =>
        text.Length > word.Length && Ascii.EqualsIgnoreCase(text[..word.Length], word) && text[word.Length] <= ' ';
}
