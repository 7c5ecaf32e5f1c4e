using System.Text;
using Microsoft.AspNetCore.Http;

namespace Pooler.Monitoring;

/// <summary>
/// /readyz and /startupz: a line for each check, [+] or [-] with the reason, and 503 if one is not as it should be. As in Kubernetes
/// ?exclude= (several times if need be) leaves checks out: listening, configuration, databases, or one of them by "database name".
/// </summary>
internal sealed class ReadinessEndpoint(string path, string word, Func<List<Check>> read) : HttpEndpoint(path)
{
    internal override Task AnswerAsync(HttpContext context, CancellationToken ended)
    {
        HashSet<string> excluded = [.. context.Request.Query["exclude"].OfType<string>()];
        var text = new StringBuilder();
        bool isGood = true;
        foreach (Check check in read())
        {
            bool counts = !excluded.Contains(check.Group) && !excluded.Contains(check.Name);
            isGood &= check.Problem == null || !counts;
            text.Append(check.Problem == null ? $"[+] {check.Name}" : $"[-] {check.Name}: {check.Problem.ReplaceLineEndings(" ")}").Append(counts ? "\n" : " (excluded)\n");
        }

        text.Append(isGood ? word : "not " + word).Append('\n');
        int status = isGood ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        return SendAsync(context, status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text.ToString()), ended);
    }
}
