using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;

namespace Pooler.Protocol;

/// <summary>
/// A client's StartupMessage (PostgreSQL documentation, 55.7 Message Formats). The caller bounds its length (PostgreSQL: 10,000 bytes)
/// and asks <see cref="ReadCode"/> first, because SSLRequest, GSSENCRequest and CancelRequest come in the same shape.
/// </summary>
public sealed class StartupPacket
{
    /// <summary>Protocol 3.0 as it stands in the packet.</summary>
    public const int Version30 = SupportedMajor << 16;

    /// <summary>Protocol 3.2 (PostgreSQL 18): cancel keys of any length up to 256 bytes.</summary>
    public const int Version32 = (SupportedMajor << 16) | NewestMinor;

    /// <summary>The code that stands for the version in an SSLRequest.</summary>
    public const int SslRequest = 80877103;

    /// <summary>The code that stands for the version in a GSSENCRequest.</summary>
    public const int GssEncRequest = 80877104;

    /// <summary>The code that stands for the version in a CancelRequest.</summary>
    public const int CancelRequest = 80877102;

    /// <summary>Names of protocol options, as opposed to run-time parameters, begin with this.</summary>
    public const string ProtocolOptionPrefix = "_pq_.";

    /// <summary>The newest 3.x we speak.</summary>
    public const int NewestMinor = 2;

    internal const int SupportedMajor = 3;

    private const string NoTerminator = "invalid startup packet layout: expected terminator as last byte";

    private StartupPacket(int version, List<StartupParameter> parameters)
    {
        Major = version >>> 16;
        Minor = version & 0xFFFF;
        Parameters = parameters;
        User = Find("user") ?? "";
        string? database = Find("database");
        Database = string.IsNullOrEmpty(database) ? User : database;
        Options = Find("options");
    }

    /// <summary>Major number of the protocol; always 3.</summary>
    public int Major { get; }

    /// <summary>Minor number of the protocol, as asked for: it may be one that nobody speaks.</summary>
    public int Minor { get; }

    /// <summary>All parameters in the order sent, those below among them. Of a name sent twice the last counts, as in PostgreSQL.</summary>
    public IReadOnlyList<StartupParameter> Parameters { get; }

    /// <summary>The user; never empty.</summary>
    public string User { get; }

    /// <summary>The database; the user's name if none is given.</summary>
    public string Database { get; }

    /// <summary>The text of <c>options</c>, for <see cref="StartupOptions"/>; null if there is none.</summary>
    public string? Options { get; }

    /// <summary>Whether the client wants a replication connection, and of which kind.</summary>
    public ReplicationMode Replication { get; private init; }

    /// <summary>The first word after the length: a protocol version or one of the request codes; 0 if there is none.</summary>
    public static int ReadCode(ReadOnlySpan<byte> body) => BinaryPrimitives.TryReadInt32BigEndian(body, out int code) ? code : 0;

    /// <summary>
    /// The key in a CancelRequest: a process id and a secret, of four bytes before protocol 3.2 and of 4 to 256 since. False if the body
    /// is another message or has another length.
    /// </summary>
    public static bool TryReadCancelRequest(ReadOnlySpan<byte> body, out int processId, out ReadOnlySpan<byte> secret)
    {
        processId = 0;
        secret = default;
        if (body.Length is < 12 or > 8 + 256 || ReadCode(body) != CancelRequest)
            return false;
        processId = BinaryPrimitives.ReadInt32BigEndian(body[4..]);
        secret = body[8..];
        return true;
    }

    /// <summary>
    /// Parses what follows the length word: the version, then names and values, each ended by NUL, then one more NUL. On failure the
    /// problem is worded as PostgreSQL words it, for an error of class 08P01.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> body, [NotNullWhen(true)] out StartupPacket? packet, out string problem)
    {
        packet = null;
        problem = NoTerminator;
        if (body.Length < 4)
            return false;
        int version = ReadCode(body);
        if (version >>> 16 != SupportedMajor)
        {
            problem = UnsupportedVersion(version);
            return false;
        }

        if (!TryReadParameters(body[4..], out List<StartupParameter> parameters, out problem))
            return false;
        if (!TryReadReplication(Last(parameters, "replication"), out ReplicationMode replication))
        {
            problem = $"invalid value for parameter \"replication\": \"{Last(parameters, "replication")}\"";
            return false;
        }

        var parsed = new StartupPacket(version, parameters) { Replication = replication };
        if (parsed.User.Length == 0)
        {
            problem = "no PostgreSQL user name specified in startup packet";
            return false;
        }

        packet = parsed;
        problem = "";
        return true;
    }

    /// <summary>The value of a parameter, or null.</summary>
    public string? Find(string name) => Last(Parameters, name);

    private static string UnsupportedVersion(int version)
    {
        int major = version >>> 16;
        return major == 2
            ? "old V2 protocol not supported"
            : $"unsupported frontend protocol {major}.{version & 0xFFFF}: server supports 3.0 to 3.{NewestMinor}";
    }

    private static bool TryReadParameters(ReadOnlySpan<byte> rest, out List<StartupParameter> parameters, out string problem)
    {
        parameters = [];
        bool user = false;
        bool database = false;
        while (true)
        {
            int nameEnd = rest.IndexOf((byte)0);
            // An empty name is the terminator, and nothing may follow it.
            if (nameEnd <= 0)
            {
                problem = nameEnd == 0 && rest.Length == 1 ? "" : NoTerminator;
                return problem.Length == 0;
            }

            int valueLength = rest[(nameEnd + 1)..].IndexOf((byte)0);
            if (valueLength < 0)
            {
                problem = NoTerminator;
                return false;
            }

            if (!TryDecode(rest[..nameEnd], out string name) || !TryDecode(rest.Slice(nameEnd + 1, valueLength), out string value))
            {
                problem = "invalid byte sequence for encoding \"UTF8\" in startup packet";
                return false;
            }

            // Who is meant must not depend on who reads: PostgreSQL takes the last, others the first.
            if ((name == "user" && user) || (name == "database" && database))
            {
                problem = $"invalid startup packet layout: parameter \"{name}\" given twice";
                return false;
            }

            user |= name == "user";
            database |= name == "database";
            parameters.Add(new StartupParameter(name, value));
            rest = rest[(nameEnd + 1 + valueLength + 1)..];
        }
    }

    private static bool TryDecode(ReadOnlySpan<byte> bytes, out string text)
    {
        bool valid = Utf8.IsValid(bytes);
        text = valid ? Encoding.UTF8.GetString(bytes) : "";
        return valid;
    }

    private static string? Last(IReadOnlyList<StartupParameter> parameters, string name)
    {
        for (int i = parameters.Count - 1; i >= 0; i--)
        {
            if (parameters[i].Name == name)
                return parameters[i].Value;
        }

        return null;
    }

    private static bool TryReadReplication(string? value, out ReplicationMode mode)
    {
        // "database", or a boolean as PostgreSQL reads it: a prefix of true, false, yes or no, on, off, 1, 0, in any case.
        mode = ReplicationMode.None;
        switch (value?.ToLowerInvariant())
        {
            case null or "0" or "of" or "off" or "f" or "fa" or "fal" or "fals" or "false" or "n" or "no":
                return true;
            case "1" or "on" or "t" or "tr" or "tru" or "true" or "y" or "ye" or "yes":
                mode = ReplicationMode.Physical;
                return true;
            default:
                if (value != "database")
                    return false;
                mode = ReplicationMode.Logical;
                return true;
        }
    }
}
