using BenchmarkDotNet.Attributes;
using Pooler.Protocol;

namespace Pooler.Benchmarks;

/// <summary>What is noted of every request, and asked about every reply.</summary>
public class ReplyQueueBenchmarks
{
    private const int Pipelined = 50;

    private static readonly byte[] s_queryReply =
        [BackendMessage.RowDescription, BackendMessage.DataRow, BackendMessage.CommandComplete, BackendMessage.ReadyForQuery];

    private static readonly byte[] s_extendedReply =
    [
        BackendMessage.ParseComplete, BackendMessage.BindComplete, BackendMessage.RowDescription, BackendMessage.DataRow,
        BackendMessage.CommandComplete, BackendMessage.ReadyForQuery,
    ];

    private static readonly byte[] s_pipelinedReply = [BackendMessage.BindComplete, BackendMessage.DataRow, BackendMessage.CommandComplete];

    private readonly ReplyQueue _queue = new();

    [Benchmark]
    public int SimpleQuery()
    {
        _queue.Push(ReplyKind.Query);
        return Accept(s_queryReply);
    }

    [Benchmark]
    public int ExtendedQuery()
    {
        _queue.Push(ReplyKind.Parse);
        _queue.Push(ReplyKind.Bind);
        _queue.Push(ReplyKind.Describe);
        _queue.Push(ReplyKind.Execute);
        _queue.Push(ReplyKind.Sync);
        return Accept(s_extendedReply);
    }

    [Benchmark(OperationsPerInvoke = Pipelined)]
    public int Pipeline()
    {
        for (int i = 0; i < Pipelined; i++)
        {
            _queue.Push(ReplyKind.Bind);
            _queue.Push(ReplyKind.Execute);
        }

        _queue.Push(ReplyKind.Sync);
        int sum = 0;
        for (int i = 0; i < Pipelined; i++)
        {
            sum += Accept(s_pipelinedReply);
        }

        return sum + (int)_queue.Accept(BackendMessage.ReadyForQuery);
    }

    private int Accept(byte[] types)
    {
        int sum = 0;
        foreach (byte type in types)
        {
            sum += (int)_queue.Accept(type);
        }

        return sum;
    }
}
