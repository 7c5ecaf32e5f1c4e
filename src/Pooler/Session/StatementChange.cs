using Pooler.Backend;

namespace Pooler.Session;

/// <summary>One change that is under way (<see cref="StatementJournal"/>).</summary>
/// <param name="Record">The server's.</param>
/// <param name="There">What the server prepares or closes, if it does.</param>
/// <param name="Name">The client's name, if it comes, goes or is used.</param>
/// <param name="Statement">What goes by the name.</param>
internal readonly record struct StatementChange(
    StatementChange.What Kind, ServerStatements Record, ServerStatement? There, byte[]? Name, PreparedStatement? Statement)
{
    internal enum What : byte
    {
        /// <summary>Something comes: on the server, for the client, or both.</summary>
        Begin,

        /// <summary>Something goes: on the server, or for the client.</summary>
        End,

        /// <summary>A name is used and stays.</summary>
        Use,

        /// <summary>The client begins to have what no other server has.</summary>
        Keep,
    }

    public bool IsBegin => Kind == What.Begin;

    public bool IsEnd => Kind == What.End;
}
