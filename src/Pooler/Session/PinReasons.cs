using Pooler.Sql;

namespace Pooler.Session;

/// <summary>The reasons of pins in words.</summary>
internal static class PinReasons
{
    private static readonly string[] Words =
        ["LISTEN", "a session's advisory lock", "a temporary table", "a cursor WITH HOLD", "SET of what servers do not report", "a prepared statement"];

    public static int Count => Words.Length;

    public static string Of(int bit) => Words[bit];

    public static string Text(PinReason reasons) =>
        string.Join(", ", Words.Where((_, bit) => ((int)reasons >> bit & 1) != 0));
}
