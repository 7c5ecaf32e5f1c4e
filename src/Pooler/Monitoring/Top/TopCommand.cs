using System.Net.ServerSentEvents;
using System.Text.Json;
using System.Threading.Channels;
using Pooler.Telemetry;

namespace Pooler.Monitoring;

/// <summary>pooler top: the live page in a terminal. It reads the page's events as a browser does, so it needs no right that a browser has not.</summary>
internal sealed class TopCommand(Uri address)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5), s_pause = TimeSpan.FromSeconds(1);

    private readonly TopScreen _screen = new($"{address.Authority}");

    // What happens, in turn: keys, states, a terminal of another size. The screen belongs to who takes it from here.
    private readonly Channel<Action> _events = Channel.CreateUnbounded<Action>();
    private bool _isPaused;

    /// <summary>The exit status. On a terminal it goes on until q is pressed; else everything is printed once, with the rates of a second.</summary>
    public async Task<int> RunAsync()
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, ConnectTimeout = s_patience }) { Timeout = Timeout.InfiniteTimeSpan };
        if (Console.IsOutputRedirected)
        {
            return await PrintAsync(http);
        }

        using var terminal = new TopTerminal(() => _events.Writer.TryComplete(), () => _events.Writer.TryWrite(static () => { }));
        TopTerminal.Listen(key => _events.Writer.TryWrite(() => Press(key, _screen)));
        _ = ListenForeverAsync(http);
        terminal.Draw(_screen, _isPaused);
        await foreach (Action change in _events.Reader.ReadAllAsync())
        {
            change();
            terminal.Draw(_screen, _isPaused);
        }

        return 0;
    }

    private async Task<int> PrintAsync(HttpClient http)
    {
        try
        {
            await foreach (Action change in ListenAsync(http))
            {
                change();
                if (_screen.HasRates)
                {
                    break;
                }
            }
        }
        catch (Exception e)
        {
            Console.Error.WriteLine(TopTable.Plain(Explain(e)));
            return 1;
        }

        foreach (string line in _screen.All())
        {
            Console.WriteLine(line);
        }

        return _screen.HasRates ? 0 : 1;
    }

    private async Task ListenForeverAsync(HttpClient http)
    {
        while (true)
        {
            string trouble = "The connection was closed";
            try
            {
                await foreach (Action change in ListenAsync(http))
                {
                    _events.Writer.TryWrite(change);
                }
            }
            catch (Exception e)
            {
                trouble = Explain(e); // Whatever it is, it is said, and tried again.
            }

            _events.Writer.TryWrite(() => _screen.Trouble = trouble);
            await Task.Delay(s_pause);
        }
    }

    /// <summary>What the page's events change on the screen; one that is silent, as after the machine slept, is left.</summary>
    private async IAsyncEnumerable<Action> ListenAsync(HttpClient http)
    {
        using var patience = new CancellationTokenSource(s_patience);
        using HttpResponseMessage answer = await http.GetAsync(new Uri(address, "events"), HttpCompletionOption.ResponseHeadersRead, patience.Token);
        if (!answer.IsSuccessStatusCode)
        {
            throw new HttpRequestException((await answer.Content.ReadAsStringAsync(patience.Token)).Trim());
        }

        using Stream stream = await answer.Content.ReadAsStreamAsync(patience.Token);
        bool isFirst = true;
        await foreach (SseItem<string> item in SseParser.Create(stream).EnumerateAsync(patience.Token))
        {
            patience.CancelAfter(s_patience);
            if (item.EventType == "state" && JsonSerializer.Deserialize(item.Data, PageJson.Default.PageState) is { } state)
            {
                yield return () => Take(state);
            }
            else if (item.EventType == "log" && JsonSerializer.Deserialize(item.Data, PageJson.Default.ListRecentLine) is { } lines)
            {
                bool areAll = isFirst;
                isFirst = false;
                yield return () => _screen.Take(lines, areAll);
            }
        }
    }

    private void Take(PageState state)
    {
        if (!_isPaused)
        {
            _screen.Take(state);
        }
    }

    private void Press(ConsoleKeyInfo key, TopScreen screen)
    {
        switch (key)
        {
            case { KeyChar: 'q' or 'Q' } or { Key: ConsoleKey.Escape }:
                _events.Writer.TryComplete();
                break;
            case { KeyChar: ' ' }:
                _isPaused = !_isPaused;
                break;
            case { KeyChar: >= '1' and <= '7' }:
                screen.Show((TopView)(key.KeyChar - '1'));
                break;
            case { Key: ConsoleKey.Tab or ConsoleKey.RightArrow }:
                screen.Turn(1);
                break;
            case { Key: ConsoleKey.LeftArrow }:
                screen.Turn(-1);
                break;
            case { Key: ConsoleKey.DownArrow or ConsoleKey.PageDown }:
                screen.Scroll(key.Key == ConsoleKey.PageDown ? 10 : 1);
                break;
            case { Key: ConsoleKey.UpArrow or ConsoleKey.PageUp }:
                screen.Scroll(key.Key == ConsoleKey.PageUp ? -10 : -1);
                break;
        }
    }

    private string Explain(Exception e) => e is OperationCanceledException ? $"{address} says nothing (http_listen_addr, http_listen_port)"
        : e is JsonException ? $"{address} is another version than this: {e.Message}"
        : e is HttpRequestException { StatusCode: null, HttpRequestError: HttpRequestError.Unknown } ? $"{address}: {e.Message}"
        : $"{address} does not answer: {e.GetBaseException().Message} (http_listen_addr, http_listen_port)";
}
