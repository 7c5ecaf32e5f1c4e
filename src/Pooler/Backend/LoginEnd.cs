namespace Pooler.Backend;

/// <summary>What comes behind a conversation with a server that was to log in there.</summary>
internal enum LoginEnd
{
    /// <summary>It is logged in to, or it is closed with the reason.</summary>
    Settled,

    /// <summary>To be connected to again and asked for 3.0: it refused a newer protocol, or hung up without a word.</summary>
    AskFor30,

    /// <summary>To be connected to again, with what password_command prints now: it refused what was printed earlier.</summary>
    AskForPassword,
}
