namespace Pooler.IntegrationTests.Harness;

/// <summary>A fenced block. The first word of its info string is the language, the second says what it is for (DocumentationTests).</summary>
internal sealed record MarkdownBlock(MarkdownPage Page, int Line, string Info, string Text)
{
    public string Language => Info.Split(' ')[0];

    public string Purpose => Info.Contains(' ') ? Info[(Info.IndexOf(' ') + 1)..] : "";

    public string Place => $"{Page.Name}:{Line}";

    public override string ToString() => Place;
}
