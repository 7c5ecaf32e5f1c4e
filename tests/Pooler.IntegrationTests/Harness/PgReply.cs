namespace Pooler.IntegrationTests.Harness;

/// <summary>All messages of one reply, ReadyForQuery the last of them.</summary>
internal sealed record PgReply(IReadOnlyList<PgMessage> Messages)
{
    public string Types => string.Concat(Messages.Select(static message => message.Type));

    public char TransactionStatus => (char)Messages[^1].Body[0];

    public PgMessage? Error => Messages.Cast<PgMessage?>().FirstOrDefault(static message => message!.Value.Type == 'E');

    public IEnumerable<string?[]> Rows => Messages.Where(static message => message.Type == 'D').Select(static message => message.Values());

    public string? Scalar => Rows.Single()[0];

    public List<Dictionary<string, string?>> ToMaps()
    {
        string[] columns = Messages.First(static message => message.Type == 'T').Columns();
        return [.. Rows.Select(row => columns.Zip(row).ToDictionary(static pair => pair.First, static pair => pair.Second))];
    }

    public override string ToString() => string.Join(' ', Messages);
}
