using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Pooler.Config;

namespace Pooler.Monitoring;

/// <summary>
/// /: the live page, one text with its style and its program, which alone may run on it. Put together when it is first asked for: its
/// hashes are OpenSSL's, which takes 3 MB.
/// </summary>
internal sealed class PageTextEndpoint(LiveConfig live) : PageEndpoint("/", live)
{
    private readonly Lazy<(byte[] Page, string Policy)> _text = new(PutTogether);

    protected override Task ShowAsync(HttpContext context, CancellationToken ended)
    {
        IHeaderDictionary headers = context.Response.Headers;
        headers.ContentSecurityPolicy = _text.Value.Policy;
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        return SendAsync(context, StatusCodes.Status200OK, "text/html; charset=utf-8", _text.Value.Page, ended);
    }

    private static (byte[] Page, string Policy) PutTogether()
    {
        string style = Resource("page.css"), program = Resource("page.js");
        byte[] page = Encoding.UTF8.GetBytes(Resource("page.html")
            .Replace("/* page.css */", style, StringComparison.Ordinal).Replace("/* page.js */", program, StringComparison.Ordinal));
        return (page, $"default-src 'none'; style-src '{HashOf(style)}'; script-src '{HashOf(program)}'; connect-src 'self'; img-src data:; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    }

    private static string Resource(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name) ?? throw new InvalidOperationException(name);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    private static string HashOf(string text) => $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";
}
