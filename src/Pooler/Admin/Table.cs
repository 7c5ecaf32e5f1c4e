using System.Buffers;
using System.Collections.Immutable;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>A result as a client gets it: its columns, and the bytes of a DataRow of text for each row added.</summary>
internal sealed class Table(ImmutableArray<ColumnDescription> columns)
{
    private readonly ArrayBufferWriter<byte> _rows = new();

    public ImmutableArray<ColumnDescription> Columns => columns;

    public ReadOnlyMemory<byte> Rows => _rows.WrittenMemory;

    public void Add(params ReadOnlySpan<string?> values) => new MessageWriter(_rows).WriteDataRow(values);
}
