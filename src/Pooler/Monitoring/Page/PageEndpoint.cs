using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;
using Pooler.Config;

namespace Pooler.Monitoring;

/// <summary>
/// A part of the live page. It shows names of users and lines of the log, so a stranger's web page must not get at it by way of a
/// browser that may: to a loopback address it must be asked for under a name that no DNS can point there (DNS rebinding), and no
/// other origin is let in.
/// </summary>
internal abstract class PageEndpoint(string path, LiveConfig live) : HttpEndpoint(path)
{
    public static bool IsShown(PoolerConfig config) => config.Get(Settings.HttpPage) && !HttpAddress.Of(config).IsOff;

    internal sealed override Task AnswerAsync(HttpContext context, CancellationToken ended)
    {
        PoolerConfig config = live.Current;
        if (!IsShown(config))
        {
            return RefuseAsync(context, StatusCodes.Status404NotFound, "there is no live page here (http_page)\n", ended);
        }

        if (context.Connection.LocalIpAddress is { } local && IsLoopback(local) && !IsOwnName(context.Request.Host.Host, config))
        {
            return RefuseAsync(
                context, StatusCodes.Status421MisdirectedRequest, "ask for the page as localhost, by its address, or by a name that http_listen_addr has\n", ended);
        }

        // What the browser says of who asks: a link from elsewhere may lead here, but no other page may load this one.
        if (context.Request.Headers["Sec-Fetch-Site"].ToString() is not ("" or "none" or "same-origin") && context.Request.Headers["Sec-Fetch-Mode"] != "navigate")
        {
            return RefuseAsync(context, StatusCodes.Status403Forbidden, "this page is not for other pages\n", ended);
        }

        context.Response.Headers["Cross-Origin-Resource-Policy"] = "same-origin";
        return ShowAsync(context, ended);
    }

    protected abstract Task ShowAsync(HttpContext context, CancellationToken ended);

    protected static Task RefuseAsync(HttpContext context, int status, string text, CancellationToken ended) =>
        SendAsync(context, status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text), ended);

    private static bool IsLoopback(IPAddress address) => IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address);

    private static bool IsOwnName(string host, PoolerConfig config) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || IPAddress.TryParse(host, out _)
        || config.Get(Settings.HttpListenAddr).Contains(host, StringComparer.OrdinalIgnoreCase);
}
