namespace Pooler.IntegrationTests.Harness;

/// <summary>
/// Messages in short: P name{text} (Parse), B name(value) (Bind), D name, C name (Describe, Close), E, H (Flush), S (Sync), Q {text};
/// /p stands behind B, D and E for the portal p, of which E takes two rows.
/// </summary>
internal static class Script
{
    /// <summary>Sends the messages and tells their replies, one for each ReadyForQuery. The last may be what went wrong.</summary>
    public static async Task<string[]> RunAsync(PgWire wire, string script)
    {
        (PgRequest request, string ends) = Read(script);
        var told = new List<string>();
        try
        {
            await wire.SendAsync(request);
            for (int i = 0; i < ends.Length; i++)
                told.Add(Tell(await wire.ReadReplyAsync()));
        }
        catch (Exception fault) when (fault is TimeoutException or EndOfStreamException or System.Net.Sockets.SocketException)
        {
            told.Add(fault.Message);
        }

        return [.. told];
    }

    /// <summary>A reply in short. Without ParameterStatus, which may come a reply later, and notifications, which come at any time.</summary>
    public static string Tell(PgReply reply) => string.Join(' ', reply.Messages.Where(static m => m.Type is not ('S' or 'A')).Select(Tell));

    /// <summary>The messages, and the types of those that bring a ReadyForQuery.</summary>
    public static (PgRequest Request, string Ends) Read(string text)
    {
        var request = new PgRequest();
        string ends = "";
        text = text.Trim();
        while (text.Length > 0)
        {
            char type = text[0];
            text = text[1..];
            bool isOfPortal = text.StartsWith("/p", StringComparison.Ordinal);
            text = (isOfPortal ? text[2..] : text).TrimStart(' ');
            string portal = isOfPortal ? "p" : "";
            string name = type is 'P' or 'D' or 'C' || (type == 'B' && text.Length > 0 && char.IsLower(text[0])) ? Take(ref text, static c => char.IsLower(c) || char.IsDigit(c) || c == '_') : "";
            string sql = "";
            if (text.StartsWith('{'))
            {
                sql = text[1..text.IndexOf('}', StringComparison.Ordinal)];
                text = text[(sql.Length + 2)..];
            }

            string[] values = [];
            if (text.StartsWith('('))
            {
                string value = text[1..text.IndexOf(')', StringComparison.Ordinal)];
                text = text[(value.Length + 2)..];
                values = [value];
            }

            _ = type switch
            {
                'P' => request.Parse(name, sql),
                'B' => request.Bind(portal, name, values),
                'D' => isOfPortal ? request.Describe('P', portal) : request.Describe('S', name),
                'C' => request.Close('S', name),
                'E' => request.Execute(portal, isOfPortal ? 2 : 0),
                'H' => request.Flush(),
                'S' => request.Sync(),
                'Q' => request.Query(sql),
                _ => throw new FormatException(text),
            };
            ends += type is 'S' or 'Q' ? $"{type}" : "";
            text = text.TrimStart();
        }

        return (request, ends);
    }

    private static string Tell(PgMessage message) => message.Type switch
    {
        'E' => $"E({message.SqlState} {message.Fields()['M']})",
        'D' => $"D({string.Join(',', message.Values())})",
        'C' => $"C({message.Text()})",
        'Z' => $"Z({(char)message.Body[0]})",
        _ => message.Type.ToString(),
    };

    private static string Take(ref string text, Func<char, bool> isPart)
    {
        string part = string.Concat(text.TakeWhile(isPart));
        text = text[part.Length..];
        return part;
    }
}
