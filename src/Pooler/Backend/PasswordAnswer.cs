namespace Pooler.Backend;

/// <summary>What password_command has printed; or nothing, and why.</summary>
/// <param name="IsKept">It was printed for an earlier login, and may have been replaced since.</param>
internal sealed record PasswordAnswer(string? Password, string? Problem, bool IsKept = false)
{
    /// <summary>To whoever no longer waits for one.</summary>
    public static PasswordAnswer GivenUp { get; } = new(null, "given up");

    /// <summary>A record would print the password.</summary>
    public override string ToString() => Problem ?? "a password";
}
