using Pooler.Tests.Session;

namespace Pooler.Tests.Model;

/// <summary>
/// A PostgreSQL backend's side of the protocol and nothing else, after its own main loop: what it answers to each message, when
/// it skips to Sync, what it ignores in COPY. Statements are words: "select 2", "begin", "error", "copyin" …; several are
/// parted by semicolons. Independent of the pooler's code.
/// </summary>
internal sealed class PostgresSimulator
{
    private enum Copy
    {
        None,
        Simple,
        Extended,
    }

    private readonly List<byte[]> _out = [];
    private Queue<string> _rest = new();
    private Copy _copy;
    private bool _skipping;

    /// <summary>I, T or E, as the next ReadyForQuery says it.</summary>
    public char Status { get; private set; } = 'I';

    public bool IsDead { get; private set; }

    public bool IsInCopy => _copy != Copy.None;

    /// <summary>Extended-protocol messages came since the last Sync.</summary>
    public bool IsBatchOpen { get; private set; }

    /// <summary>It has answered whatever came and waits for nothing of a half-done request.</summary>
    public bool OwesNothing => _copy == Copy.None && !_skipping && !IsBatchOpen;

    /// <summary>Statements begun, in order: none may run twice.</summary>
    public List<string> Ran { get; } = [];

    /// <summary>Reads one message and returns everything it sends because of it.</summary>
    public IReadOnlyList<byte[]> Read(byte[] frame)
    {
        _out.Clear();
        if (!IsDead)
        {
            char type = (char)frame[0];
            if (_copy != Copy.None)
            {
                ReadInCopy(type, frame);
            }
            else if (!_skipping || type is 'S' or 'X')
            {
                ReadRequest(type, frame);
            }
        }

        return [.. _out];
    }

    private void ReadRequest(char type, byte[] frame)
    {
        string text = Wire.ReadText(frame.AsSpan(5));
        switch (type)
        {
            case 'Q':
                IsBatchOpen = false;
                _rest = new Queue<string>(text.Split(';'));
                RunSimple();
                break;
            case 'F':
                IsBatchOpen = false;
                if (Status == 'E' || text == "error")
                {
                    Fail(isExtended: false);
                }
                else
                {
                    Say('V', 0, 0, 0, 0);
                    Ready();
                }

                break;
            case 'P':
                IsBatchOpen = true;
                FailOr(Wire.ReadText(frame.AsSpan(5 + text.Length + 1)), '1');
                break;
            case 'B':
                IsBatchOpen = true;
                FailOr(text, '2');
                break;
            case 'C':
                IsBatchOpen = true;
                FailOr(text[1..], '3');
                break;
            case 'D':
                IsBatchOpen = true;
                Describe(text);
                break;
            case 'E':
                IsBatchOpen = true;
                Run(text, isExtended: true);
                break;
            case 'S':
                _skipping = IsBatchOpen = false;
                Ready();
                break;
            case 'X':
                IsDead = true;
                break;
            case 'H' or 'd' or 'c' or 'f':
                break; // A COPY that is over: the client may not know yet.
        }
    }

    private void ReadInCopy(char type, byte[] frame)
    {
        bool isExtended = _copy == Copy.Extended;
        switch (type)
        {
            case 'd' when Wire.ReadText(frame.AsSpan(5)) != "bad":
            case 'S' or 'H':
                break;
            case 'c':
                _copy = Copy.None;
                _out.Add(Wire.Complete("COPY 1"));
                if (!isExtended)
                {
                    RunSimple();
                }

                break;
            case 'd' or 'f':
                _copy = Copy.None;
                Fail(isExtended);
                break;
            default:
                // The type is looked at before the rest is read: the stream is lost.
                _out.Add(Wire.Error("unexpected message type during COPY from stdin", sqlState: "08P01"));
                _out.Add(Wire.Error("terminating connection because protocol synchronization was lost", "FATAL", "08P01"));
                IsDead = true;
                break;
        }
    }

    private void RunSimple()
    {
        while (_rest.TryDequeue(out string? statement))
        {
            if (!Run(statement, isExtended: false))
            {
                return;
            }
        }

        Ready();
    }

    /// <summary>False when the request does not go on at once: it failed, or reads COPY data.</summary>
    private bool Run(string statement, bool isExtended)
    {
        Ran.Add(statement);
        string[] words = statement.Split(' ');
        if (words[0] == "error" || (Status == 'E' && words[0] is not ("commit" or "rollback")))
        {
            if (words.Length > 1)
            {
                _out.Add(Wire.Row("before the error"));
            }

            Fail(isExtended);
            return false;
        }

        switch (words[0])
        {
            case "select":
                if (!isExtended)
                {
                    _out.Add(Wire.RowDescription("v"));
                }

                _out.AddRange(Enumerable.Range(0, int.Parse(words[1])).Select(static i => Wire.Row($"{i}")));
                _out.Add(Wire.Complete($"SELECT {words[1]}"));
                break;
            case "begin":
                Status = 'T';
                _out.Add(Wire.Complete("BEGIN"));
                break;
            case "commit" or "rollback":
                _out.Add(Wire.Complete(Status == 'E' ? "ROLLBACK" : statement.ToUpperInvariant()));
                Status = 'I';
                break;
            case "copyin":
                _copy = isExtended ? Copy.Extended : Copy.Simple;
                Say('G', 0, 0, 0);
                return false;
            case "copyout":
                Say('H', 0, 0, 0);
                _out.Add(Wire.CopyData("row"));
                Say('c');
                _out.Add(Wire.Complete("COPY 1"));
                break;
            case "suspend" when isExtended:
                _out.Add(Wire.Row("more"));
                Say('s');
                break;
            case "notice":
                _out.Add(Wire.Notice("look"));
                _out.Add(Wire.Complete("DO"));
                break;
            case "":
                Say('I');
                break;
            default:
                _out.Add(Wire.Parameter("application_name", statement));
                _out.Add(Wire.Complete("SET"));
                break;
        }

        return true;
    }

    private void Describe(string text)
    {
        if (text[1..] == "error")
        {
            Fail(isExtended: true);
            return;
        }

        if (text[0] == 'S')
        {
            Say('t', 0, 0);
        }

        _out.Add(text.Contains("select", StringComparison.Ordinal) ? Wire.RowDescription("v") : Wire.Frame('n'));
    }

    private void FailOr(string text, char success)
    {
        if (text == "error")
        {
            Fail(isExtended: true);
        }
        else
        {
            Say(success);
        }
    }

    private void Fail(bool isExtended)
    {
        _out.Add(Wire.Error("failed"));
        Status = Status == 'I' ? 'I' : 'E';
        _rest.Clear();
        if (isExtended)
        {
            _skipping = true;
        }
        else
        {
            Ready();
        }
    }

    private void Ready() => _out.Add(Wire.Ready(Status));

    private void Say(char type, params ReadOnlySpan<byte> body) => _out.Add(Wire.Frame(type, body));
}
