using System.Collections.Frozen;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>Finds the endpoint of each request. Nothing here changes anything: only GET and HEAD are answered.</summary>
internal sealed class HttpAnswers(IEnumerable<HttpEndpoint> endpoints, ILogger log, CancellationToken stopping) : IHttpApplication<HttpContext>
{
    private readonly FrozenDictionary<string, HttpEndpoint> _endpoints = endpoints.ToFrozenDictionary(static e => e.Path);

    public HttpContext CreateContext(IFeatureCollection contextFeatures) => new DefaultHttpContext(contextFeatures);

    public void DisposeContext(HttpContext context, Exception? exception)
    {
    }

    public async Task ProcessRequestAsync(HttpContext context)
    {
        HttpResponse response = context.Response;
        response.Headers.CacheControl = "no-store";
        response.Headers.XContentTypeOptions = "nosniff";
        if (!_endpoints.TryGetValue(context.Request.Path.Value ?? "", out HttpEndpoint? endpoint))
        {
            response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            response.Headers.Allow = "GET, HEAD";
            response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            return;
        }

        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        try
        {
            await endpoint.AnswerAsync(context, ended.Token);
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            string defect = $"{endpoint.Path}: {e}";
            log.Defect(defect);
            if (!response.HasStarted)
            {
                response.StatusCode = StatusCodes.Status500InternalServerError;
            }
        }
    }
}
