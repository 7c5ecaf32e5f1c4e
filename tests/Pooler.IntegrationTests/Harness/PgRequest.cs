using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Pooler.IntegrationTests.Harness;

/// <summary>Builds the bytes of one or several client messages.</summary>
internal sealed class PgRequest
{
    public const int Protocol30 = 196608;
    public const int Protocol32 = Protocol30 + 2;
    public const int Protocol20 = 131072;
    public const int SslCode = 80877103;

    /// <summary>SSLRequest, whole.</summary>
    public static ReadOnlyMemory<byte> SslRequest { get; } = new byte[] { 0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F };
    public const int CancelCode = 80877102;

    private readonly ArrayBufferWriter<byte> _bytes = new();

    public byte[] ToArray() => _bytes.WrittenSpan.ToArray();

    public static byte[] Startup(params (string Name, string Value)[] parameters) => Startup(Protocol30, parameters);

    public static byte[] Startup(int protocol, params (string Name, string Value)[] parameters)
    {
        var body = new ArrayBufferWriter<byte>();
        WriteInt32(body, protocol);
        foreach ((string name, string value) in parameters)
        {
            WriteText(body, name);
            WriteText(body, value);
        }

        WriteByte(body, 0);
        return WithLength(body.WrittenSpan);
    }

    public static byte[] Cancel(int processId, int secret)
    {
        var body = new ArrayBufferWriter<byte>();
        WriteInt32(body, CancelCode);
        WriteInt32(body, processId);
        WriteInt32(body, secret);
        return WithLength(body.WrittenSpan);
    }

    /// <summary>With the body of a BackendKeyData.</summary>
    public static byte[] Cancel(byte[] key)
    {
        var body = new ArrayBufferWriter<byte>();
        WriteInt32(body, CancelCode);
        body.Write(key);
        return WithLength(body.WrittenSpan);
    }

    public PgRequest Query(string sql) => Message('Q', body => WriteText(body, sql));

    public PgRequest Password(string secret) => Message('p', body => WriteText(body, secret));

    /// <summary>SASLInitialResponse for SCRAM-SHA-256.</summary>
    public PgRequest SaslInitial(string clientFirst) => Message('p', body =>
    {
        WriteText(body, "SCRAM-SHA-256");
        WriteInt32(body, clientFirst.Length);
        body.Write(Encoding.ASCII.GetBytes(clientFirst));
    });

    public PgRequest Parse(string name, string sql) => Message('P', body =>
    {
        WriteText(body, name);
        WriteText(body, sql);
        WriteInt16(body, 0);
    });

    /// <summary>Binds text values and asks for text results.</summary>
    public PgRequest Bind(string portal, string statement, params string?[] values) => Message('B', body =>
    {
        WriteText(body, portal);
        WriteText(body, statement);
        WriteInt16(body, 0);
        WriteInt16(body, (short)values.Length);
        foreach (string? value in values)
        {
            if (value is null)
            {
                WriteInt32(body, -1);
                continue;
            }

            byte[] bytes = Encoding.UTF8.GetBytes(value);
            WriteInt32(body, bytes.Length);
            body.Write(bytes);
        }

        WriteInt16(body, 0);
    });

    public PgRequest Describe(char kind, string name) => Message('D', body => WriteKindAndName(body, kind, name));

    public PgRequest Close(char kind, string name) => Message('C', body => WriteKindAndName(body, kind, name));

    public PgRequest Execute(string portal = "", int maxRows = 0) => Message('E', body =>
    {
        WriteText(body, portal);
        WriteInt32(body, maxRows);
    });

    public PgRequest Sync() => Message('S', static _ => { });

    public PgRequest Flush() => Message('H', static _ => { });

    public PgRequest CopyData(ReadOnlyMemory<byte> data) => Message('d', body => body.Write(data.Span));

    public PgRequest CopyDone() => Message('c', static _ => { });

    public PgRequest CopyFail(string reason) => Message('f', body => WriteText(body, reason));

    /// <summary>FunctionCall of binary values, with a binary result.</summary>
    public PgRequest FunctionCall(int function, params byte[][] values) => Message('F', body =>
    {
        WriteInt32(body, function);
        WriteInt16(body, 1);
        WriteInt16(body, 1);
        WriteInt16(body, (short)values.Length);
        foreach (byte[] value in values)
        {
            WriteInt32(body, value.Length);
            body.Write(value);
        }

        WriteInt16(body, 1);
    });

    public PgRequest Terminate() => Message('X', static _ => { });

    /// <summary>A message header that promises so many bytes after its length word, whether they follow or not.</summary>
    public PgRequest Header(char type, int length)
    {
        WriteByte(_bytes, (byte)type);
        WriteInt32(_bytes, length);
        return this;
    }

    public PgRequest Message(char type, Action<IBufferWriter<byte>> writeBody)
    {
        var body = new ArrayBufferWriter<byte>();
        writeBody(body);
        Header(type, body.WrittenCount + 4);
        _bytes.Write(body.WrittenSpan);
        return this;
    }

    /// <summary>All messages of another one.</summary>
    public PgRequest Message(PgRequest messages)
    {
        _bytes.Write(messages._bytes.WrittenSpan);
        return this;
    }

    public static void WriteText(IBufferWriter<byte> target, string text)
    {
        target.Write(Encoding.UTF8.GetBytes(text));
        WriteByte(target, 0);
    }

    public static void WriteInt32(IBufferWriter<byte> target, int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(target.GetSpan(4), value);
        target.Advance(4);
    }

    public static void WriteInt16(IBufferWriter<byte> target, short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(target.GetSpan(2), value);
        target.Advance(2);
    }

    public static void WriteByte(IBufferWriter<byte> target, byte value)
    {
        target.GetSpan(1)[0] = value;
        target.Advance(1);
    }

    private static void WriteKindAndName(IBufferWriter<byte> body, char kind, string name)
    {
        WriteByte(body, (byte)kind);
        WriteText(body, name);
    }

    private static byte[] WithLength(ReadOnlySpan<byte> body)
    {
        byte[] message = new byte[body.Length + 4];
        BinaryPrimitives.WriteInt32BigEndian(message, message.Length);
        body.CopyTo(message.AsSpan(4));
        return message;
    }
}
