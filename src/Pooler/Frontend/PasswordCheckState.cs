namespace Pooler.Frontend;

/// <summary>How far a <see cref="PasswordCheck"/> is.</summary>
internal enum PasswordCheckState
{
    Waiting,
    Accepted,
    Refused,
}
