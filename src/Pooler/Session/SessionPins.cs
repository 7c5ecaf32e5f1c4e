using System.Text;
using Pooler.Backend;
using Pooler.Config;
using Pooler.Protocol;
using Pooler.Sql;

namespace Pooler.Session;

/// <summary>
/// What keeps a client on its server. Statements and command tags only say that there may be something; what there is the server
/// is asked when the client is idle, and again after whatever may have ended it.
/// </summary>
internal sealed class SessionPins(ClientSession session)
{
    private const int LongestStatement = 200, MostNames = 32;

    private int _signsSeen;
    private bool _isRefused, _hasAnswer;
    private PinReason _answer;
    private StartupParameters? _told;
    private List<string>? _customNames;

    /// <summary>What the server held when it was asked last.</summary>
    public PinReason Held { get; private set; }

    /// <summary>Thread clock, microseconds.</summary>
    public long Since { get; private set; }

    /// <summary>The statement that may have pinned it; empty when it did not look like it (DO, CALL).</summary>
    public string Statement { get; private set; } = "";

    /// <summary>The server is being asked.</summary>
    public bool IsAsking { get; private set; }

    /// <summary>A lease begins.</summary>
    public void Begin(ServerConnection server)
    {
        _signsSeen = server.Signs;
        _customNames = null;
        Held = PinReason.None;
        IsAsking = false;
    }

    /// <summary>There was a sign since the server was asked last.</summary>
    public bool MustAsk(ServerConnection server) =>
        server.IsDirty && server.Signs != _signsSeen && !IsAsking && session.Settings.Pin == PinRule.Auto && session.Mode != PoolMode.Session;

    /// <summary>A text that may leave state: it is told in SHOW PINS, and settings of no library are known by it alone.</summary>
    public void Note(ReadOnlySpan<byte> text, bool mayLeaveState)
    {
        int end = text.IndexOf((byte)0);
        text = end < 0 ? text : text[..end];
        var scan = new PinScan(text);
        while (scan.Next())
        {
            mayLeaveState = true;
            if (scan.Reason == PinReason.Setting && scan.Name.Contains((byte)'.') && (_customNames?.Count ?? 0) < MostNames)
            {
                string name = Encoding.UTF8.GetString(scan.Name).Replace("\"", "");
                _customNames ??= [];
                if (!_customNames.Contains(name))
                {
                    _customNames.Add(name);
                }
            }
        }

        if (mayLeaveState && Held == PinReason.None)
        {
            Statement = Encoding.UTF8.GetString(text[..Math.Min(text.Length, LongestStatement)]);
        }
    }

    /// <summary>A statement was refused for this.</summary>
    public void CountRefusal(PinReason reason) => session.Stats.PinRefusals[System.Numerics.BitOperations.Log2((uint)reason)]++;

    /// <summary>The question for the server.</summary>
    public string Ask(ServerConnection server)
    {
        _signsSeen = server.Signs;
        IsAsking = true;
        _isRefused = _hasAnswer = false;
        return PinQuestion.Text(session, server, _customNames);
    }

    /// <summary>A DataRow of the answer: the sum of the reasons, and what startup parameters are.</summary>
    public void Read(ReadOnlySpan<byte> row)
    {
        byte answer = 0;
        List<string?> values = DataRow.Values(row);
        _hasAnswer = values.Count > 0 && byte.TryParse(values[0], out answer);
        _answer = (PinReason)answer;
        if (!_hasAnswer)
        {
            return;
        }

        values.RemoveAt(0);
        _told = session.Unreported.With(values);
        _answer |= _told == null ? PinReason.Setting : PinReason.None;
    }

    /// <summary>It would not answer: what it held before it may hold still.</summary>
    public void Refused() => _isRefused = true;

    /// <summary>The answer is there.</summary>
    public void Answered(ServerConnection server)
    {
        IsAsking = false;
        if (_isRefused || !_hasAnswer)
        {
            return;
        }

        if (_told != null)
        {
            // JDBC sets extra_float_digits when it has logged in with another value of it.
            session.Unreported = server.Startup = _told;
        }

        PinReason added = _answer & ~Held;
        if (Held == PinReason.None)
        {
            Since = session.Thread.Now;
        }

        Held = _answer;
        for (int bit = 0; added != PinReason.None && bit < PinReasons.Count; bit++)
        {
            session.Stats.Pins[bit] += ((int)added >> bit) & 1;
        }
    }
}
