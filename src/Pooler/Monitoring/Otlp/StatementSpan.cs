using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Pooler.Sql;
using Pooler.Statements;

namespace Pooler.Monitoring;

/// <summary>The span of one statement with its waits as children, by OpenTelemetry's conventions for database clients.</summary>
internal static class StatementSpan
{
    /// <param name="now">What <paramref name="clock"/> of the I/O threads stands for.</param>
    public static void Make(ActivitySource source, TraceRecord record, DateTime now, long clock)
    {
        string text = Encoding.UTF8.GetString(record.Statement.Text), operation = OperationOf(text), database = record.Statement.Database;
        Activity.Current = null;
        using Activity? span = source.StartActivity(
            operation.Length > 0 ? $"{operation} {database}" : database, ActivityKind.Client, ParentOf(record.Parent), startTime: At(record.Asked > 0 ? record.Asked : record.Sent));
        if (span == null)
        {
            return; // Tracing was switched off meanwhile.
        }

        span.SetTag("db.system.name", "postgresql");
        span.SetTag("db.namespace", database);
        span.SetTag("db.query.text", text);
        span.SetTag("db.operation.name", operation.Length > 0 ? operation : null);
        span.SetTag("server.address", record.Host.Name);
        span.SetTag("server.port", record.Host.Port);
        span.SetTag("db.response.returned_rows", record.Rows);
        if (record.SqlState is { } error)
        {
            span.SetTag("db.response.status_code", error);
            span.SetTag("error.type", error);
            span.SetStatus(ActivityStatusCode.Error);
        }

        bool connects = record.ConnectBegan > 0 && record.LoggedIn > record.ConnectBegan;
        Child("pooler.queue", record.Asked, connects ? record.ConnectBegan : record.Leased);
        Child("pooler.connect", connects ? record.ConnectBegan : 0, record.LoggedIn);
        Child("pooler.sync", record.Leased, record.Sent);
        Child("pooler.server", record.Sent, record.Answered);
        Child("pooler.transfer", record.Answered, record.Ended);
        span.SetEndTime(At(record.Ended));

        DateTime At(long microseconds) => now.AddMicroseconds(microseconds - clock);

        void Child(string name, long from, long to)
        {
            if (from > 0 && to > from)
            {
                using Activity? child = source.StartActivity(name, ActivityKind.Internal, span.Context, startTime: At(from));
                child?.SetEndTime(At(to));
            }
        }
    }

    private static ActivityContext ParentOf(TraceParent parent)
    {
        if (!parent.IsSet)
        {
            return default;
        }

        Span<byte> trace = stackalloc byte[16], span = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(trace, parent.TraceHigh);
        BinaryPrimitives.WriteUInt64BigEndian(trace[8..], parent.TraceLow);
        BinaryPrimitives.WriteUInt64BigEndian(span, parent.Span);
        return new ActivityContext(ActivityTraceId.CreateFromBytes(trace), ActivitySpanId.CreateFromBytes(span), ActivityTraceFlags.Recorded, isRemote: true);
    }

    /// <summary>The first word.</summary>
    private static string OperationOf(string text)
    {
        int length = 0;
        while (length < text.Length && char.IsAsciiLetter(text[length]))
        {
            length++;
        }

        return text[..length].ToUpperInvariant();
    }
}
