using System.Buffers;
using System.Collections.Immutable;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>A console command bound by a client of the extended protocol, and what of its answer has not been fetched yet.</summary>
/// <param name="request">Null: an empty text.</param>
/// <param name="columns">Of the answer, in the formats the client asked for.</param>
internal sealed class ConsolePortal(ConsoleRequest? request, ImmutableArray<ColumnDescription> columns)
{
    private ReadOnlyMemory<byte> _rows;
    private string? _tag;

    public ConsoleRequest? Request => request;

    public ImmutableArray<ColumnDescription> Columns => columns;

    /// <summary>Whether the command was executed; it is executed once.</summary>
    public bool HasRun { get; private set; }

    /// <summary>Executes the command; its answer is kept here. What it says besides (errors, notices) goes to the client at once.</summary>
    public async ValueTask RunAsync(ConsoleSession session)
    {
        HasRun = true;
        await session.ExecuteAsync(request!, this);
        if (columns.Any(static c => c.IsBinary) && !_rows.IsEmpty)
        {
            _rows = await Offload.Run(session.Client, static p => p.Encode(), this);
        }
    }

    public void Take(Table table) => _rows = table.Rows;

    public void Complete(string tag) => _tag = tag;

    /// <summary>The next rows, at most so many (0: all): CommandComplete follows, or PortalSuspended when the limit was reached (55.2.3).</summary>
    public void Fetch(Outbox output, int most)
    {
        if (_tag == null)
        {
            return; // It ended with an error.
        }

        int length = 0, count = 0;
        for (; length < _rows.Length && (most <= 0 || count < most); count++)
        {
            length += (int)FrameHeader.FrameLength(_rows.Span[length..]);
        }

        output.Append(_rows.Span[..length]);
        _rows = _rows[length..];
        var writer = new MessageWriter(output);
        if (most > 0 && count == most)
        {
            writer.WritePortalSuspended();
        }
        else
        {
            writer.WriteCommandComplete(_tag);
        }
    }

    private ReadOnlyMemory<byte> Encode()
    {
        var rows = new ArrayBufferWriter<byte>(_rows.Length);
        for (ReadOnlySpan<byte> rest = _rows.Span; !rest.IsEmpty;)
        {
            int length = (int)FrameHeader.FrameLength(rest);
            if (!BinaryDataRow.TryWrite(rows, rest[FrameHeader.Size..length], columns.AsSpan()))
            {
                throw new InvalidOperationException($"a row of {request!.Text} is not of its columns' types");
            }

            rest = rest[length..];
        }

        return rows.WrittenMemory;
    }
}
