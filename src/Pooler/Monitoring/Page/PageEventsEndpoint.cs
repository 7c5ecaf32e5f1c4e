using Microsoft.AspNetCore.Http;
using Pooler.Config;

namespace Pooler.Monitoring;

/// <summary>/events: what the live page shows, as server-sent events, until the looker goes.</summary>
internal sealed class PageEventsEndpoint(LiveConfig live, PageFeed feed) : PageEndpoint("/events", live)
{
    protected override async Task ShowAsync(HttpContext context, CancellationToken ended)
    {
        if (HttpMethods.IsHead(context.Request.Method))
        {
            context.Response.ContentType = "text/event-stream";
            return;
        }

        if (feed.Enter(context.Abort) is not { } listener)
        {
            context.Response.Headers.RetryAfter = "5";
            await RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "too many look on already\n", ended);
            return;
        }

        context.Response.ContentType = "text/event-stream";
        try
        {
            await foreach (byte[] data in listener.EventsAsync(ended))
            {
                await context.Response.Body.WriteAsync(data, ended);
                await context.Response.Body.FlushAsync(ended);
            }
        }
        finally
        {
            feed.Leave(listener);
        }
    }
}
