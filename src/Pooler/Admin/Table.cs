using System.Buffers;
using System.Collections.Immutable;
using Pooler.Protocol;

namespace Pooler.Admin;

/// <summary>A result as the bytes a client gets: RowDescription, then a DataRow for each row added.</summary>
internal sealed class Table
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public Table(ImmutableArray<ColumnDescription> columns) => new MessageWriter(_bytes).WriteRowDescription(columns.AsSpan());

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    public void Add(params ReadOnlySpan<string?> values) => new MessageWriter(_bytes).WriteDataRow(values);
}
