namespace Pooler.Protocol;

/// <summary>Finds the name of a prepared statement in the messages that carry one (PostgreSQL documentation, 55.7 Message Formats).</summary>
public static class StatementName
{
    /// <summary>
    /// Where the name stands in a body, without the NUL behind it. False when the message names no statement, or its name is
    /// not there as a whole; <paramref name="start"/> is then -1 for the first.
    /// </summary>
    public static bool Find(byte type, ReadOnlySpan<byte> body, out int start, out int length)
    {
        start = length = 0;
        switch (type)
        {
            case FrontendMessage.Bind:
                start = body.IndexOf((byte)0) + 1; // Behind the portal's name.
                if (start == 0)
                {
                    return false;
                }

                break;
            case FrontendMessage.Describe or FrontendMessage.Close:
                start = body.IsEmpty || body[0] == 'S' ? 1 : -1;
                break;
            case FrontendMessage.Parse:
                break;
            default:
                start = -1;
                break;
        }

        if (start < 0 || start > body.Length)
        {
            return false;
        }

        length = body[start..].IndexOf((byte)0);
        return length >= 0;
    }
}
