using System.Collections.Concurrent;
using System.Net;

namespace Pooler.IntegrationTests.Harness;

/// <summary>A collector of spans: OTLP over HTTP, as protobuf.</summary>
internal sealed class OtlpReceiver : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly ConcurrentQueue<OtlpSpan> _spans = [];

    public OtlpReceiver()
    {
        Url = $"http://127.0.0.1:{FreePort.Next()}";
        _listener.Prefixes.Add(Url + "/");
        _listener.Start();
        _ = ServeAsync();
    }

    /// <summary>For otlp_endpoint.</summary>
    public string Url { get; }

    /// <summary>The header "key" of the last request.</summary>
    public string? Key { get; private set; }

    /// <summary>It answers 503.</summary>
    public bool Refuses { get; set; }

    public IReadOnlyCollection<OtlpSpan> Spans => _spans;

    public void Dispose() => _listener.Close();

    /// <summary>The span of a statement, and those of its waits in the order of their beginnings.</summary>
    public async Task<(OtlpSpan Span, OtlpSpan[] Waits)> StatementAsync(string text)
    {
        OtlpSpan span = (await Eventually.BecomesAsync($"the span of {text}", () => Task.FromResult(Find(text)), static found => found != null))!;
        return (span, [.. Spans.Where(s => s.Parent == span.Id).OrderBy(static s => s.Start).ThenBy(static s => s.End)]);
    }

    /// <summary>A span is sent behind those of its waits.</summary>
    public OtlpSpan? Find(string text) => Spans.FirstOrDefault(s => s.Tags.GetValueOrDefault("db.query.text") == text);

    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                HttpListenerContext context = await _listener.GetContextAsync();
                using var body = new MemoryStream();
                await context.Request.InputStream.CopyToAsync(body);
                Key = context.Request.Headers["key"];
                bool isRight = context.Request is { HttpMethod: "POST", Url.AbsolutePath: "/v1/traces", ContentType: "application/x-protobuf" };
                context.Response.StatusCode = !isRight ? 404 : Refuses ? 400 : 200;
                if (isRight && !Refuses)
                {
                    OtlpSpan.ReadAll(body.ToArray()).ForEach(_spans.Enqueue);
                }

                context.Response.Close();
            }
        }
        catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}
