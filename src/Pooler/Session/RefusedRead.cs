using Pooler.Protocol;

namespace Pooler.Session;

/// <summary>What the front of a replica's reply says of a read that could be run again elsewhere.</summary>
internal enum RefusedRead : byte
{
    /// <summary>Too little is there to tell.</summary>
    Unclear,

    /// <summary>It is an answer, or an error that would be the same anywhere.</summary>
    No,

    /// <summary>25006: it would write. 0A000: it needs what a standby has not (an unlogged table …).</summary>
    IsWrite,

    /// <summary>Recovery needed what it had read (40001, 40P01).</summary>
    Conflict,

    /// <summary>The server ends, over such a conflict or because it is told to.</summary>
    Goodbye,
}

/// <summary>The net under read_write_split: the first words of a replica about a read.</summary>
internal static class RefusedReads
{
    // What comes before any row; more of it is not waited for.
    private const int Longest = 8192;

    /// <param name="data">What the server has sent, from the front of the first reply on.</param>
    /// <param name="body">Of the error.</param>
    public static RefusedRead Find(ReadOnlySpan<byte> data, out ReadOnlySpan<byte> body)
    {
        body = default;
        int room = Longest;
        while (data.Length >= FrameHeader.Size)
        {
            long length = FrameHeader.FrameLength(data);
            bool isError = data[0] == BackendMessage.ErrorResponse;
            bool saysNothing = data[0] is BackendMessage.ParseComplete or BackendMessage.BindComplete or BackendMessage.CloseComplete
                or BackendMessage.NoData or BackendMessage.ParameterDescription or BackendMessage.RowDescription;
            room -= (int)Math.Min(length, Longest);
            if (!(isError || saysNothing) || length < FrameHeader.Size || room < 0)
            {
                return RefusedRead.No;
            }

            if (length > data.Length)
            {
                break;
            }

            if (isError)
            {
                body = data[FrameHeader.Size..(int)length];
                return Read(body);
            }

            data = data[(int)length..];
        }

        return RefusedRead.Unclear;
    }

    /// <summary>Whether an error says that the statement may not run where nothing is written.</summary>
    public static bool IsReadOnly(ReadOnlySpan<byte> body) => ErrorFields.Has(body, (byte)'C', "25006"u8);

    private static RefusedRead Read(ReadOnlySpan<byte> body)
    {
        bool isConflict = ErrorFields.Has(body, (byte)'C', "40001"u8) || ErrorFields.Has(body, (byte)'C', "40P01"u8);
        if (ErrorFields.Has(body, (byte)'V', "FATAL"u8))
        {
            return isConflict || ErrorFields.Has(body, (byte)'C', "57P01"u8) ? RefusedRead.Goodbye : RefusedRead.No;
        }

        bool isUnsupported = ErrorFields.Has(body, (byte)'C', "0A000"u8) && StatementErrors.Read(body) == StatementError.None;
        return isConflict ? RefusedRead.Conflict : isUnsupported || IsReadOnly(body) ? RefusedRead.IsWrite : RefusedRead.No;
    }
}
