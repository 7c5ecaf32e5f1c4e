namespace Pooler.Protocol;

/// <summary>Body of a client's PasswordMessage (PostgreSQL documentation, 55.7 Message Formats): one string.</summary>
public static class PasswordMessage
{
    /// <summary>The password, which points into the body. The problem is worded as PostgreSQL words it.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> password, out string problem)
    {
        password = default;
        int end = body.IndexOf((byte)0);
        if (end < 0 || end != body.Length - 1)
        {
            problem = "invalid password packet size";
            return false;
        }

        if (end == 0)
        {
            problem = "empty password returned by client";
            return false;
        }

        password = body[..end];
        problem = "";
        return true;
    }
}
