using Microsoft.AspNetCore.Http;

namespace Pooler.Monitoring;

/// <summary>What one path of the HTTP listener answers; to add one, write its class and put it on the list in PoolerService.</summary>
internal abstract class HttpEndpoint(string path)
{
    public string Path { get; } = path;

    /// <summary>
    /// Answers GET, and HEAD, whose body nobody gets. On the thread pool, for several requests at once; what belongs to I/O threads is
    /// read as any thread may, or asked for by Post.
    /// </summary>
    /// <param name="ended">The asker has gone, or the listener is about to: an answer that goes on and on ends now.</param>
    internal abstract Task AnswerAsync(HttpContext context, CancellationToken ended);

    /// <summary>An answer that is one text.</summary>
    protected static Task SendAsync(HttpContext context, int status, string type, ReadOnlyMemory<byte> body, CancellationToken ended)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.ContentLength = body.Length;
        return context.Response.Body.WriteAsync(body, ended).AsTask();
    }
}
