using System.Buffers.Binary;
using System.Text;
using Pooler.Protocol;

namespace Pooler.LoadGenerator;

/// <summary>The bytes of one transaction in one protocol, built once. The extended forms are what libpq and pgbench send.</summary>
internal sealed class Requests
{
    private Requests(byte[]? setup, byte[] transaction)
    {
        Setup = setup;
        Transaction = transaction;
    }

    public static byte[] SslRequest { get; } = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];

    public static byte[] Terminate { get; } = Frame(FrontendMessage.Terminate);

    /// <summary>What each client sends once before its first transaction, or null.</summary>
    public byte[]? Setup { get; }

    public byte[] Transaction { get; }

    public static Requests From(Options options)
    {
        string statement = options.Text("statement", "select 1");
        string protocol = options.Text("protocol", "simple");
        byte[] sync = Frame(FrontendMessage.Sync);
        byte[] run(string name) =>
        [
            .. Frame(FrontendMessage.Bind, [.. Text(""), .. Text(name), 0, 0, 0, 0, 0, 0]),
            .. Frame(FrontendMessage.Describe, [(byte)'P', .. Text("")]),
            .. Frame(FrontendMessage.Execute, [.. Text(""), 0, 0, 0, 0]),
            .. sync,
        ];
        byte[] parse(string name) => Frame(FrontendMessage.Parse, [.. Text(name), .. Text(statement), 0, 0]);
        return protocol switch
        {
            "simple" => new Requests(null, Query(statement)),
            "extended" => new Requests(null, [.. parse(""), .. run("")]),
            "prepared" => new Requests([.. parse("load"), .. sync], run("load")),
            _ => throw new LoadException($"--protocol {protocol}: simple, extended or prepared"),
        };
    }

    public static byte[] Query(string statement) => Frame(FrontendMessage.Query, Text(statement));

    public static byte[] Frame(byte type, params ReadOnlySpan<byte> body)
    {
        byte[] frame = new byte[FrameHeader.Size + body.Length];
        frame[0] = type;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), body.Length + 4);
        body.CopyTo(frame.AsSpan(FrameHeader.Size));
        return frame;
    }

    private static byte[] Text(string text) => [.. Encoding.UTF8.GetBytes(text), 0];
}
