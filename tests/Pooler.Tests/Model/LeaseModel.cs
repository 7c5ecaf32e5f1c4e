namespace Pooler.Tests.Model;

/// <summary>
/// The lease and reply-queue rules as a model: from a state to all states that can follow. A client may send Q (a query), W (one
/// that leaves session state), T (begin), C (a COPY from stdin), E (Parse, Bind, Execute, Flush), Y (the same for a COPY), S (Sync),
/// D (COPY data, whole), h and l (in two halves), c (CopyDone), X (Terminate), and ! (it goes without a word): any of its
/// alphabet, or, behind a =, these in their order. Client A may also cancel what it has asked for.
/// </summary>
internal sealed class LeaseModel(string alphabetA, int messagesA, string alphabetB, int messagesB, Mutant mutant = Mutant.None, bool looksAtCancels = false)
{
    private const string Simple = "QWTCPrd";

    /// <summary>All that may happen next. <paramref name="internals"/> counts those that need no client, no death and no timeout.</summary>
    public List<LeaseState> Next(LeaseState s, out int internals)
    {
        List<LeaseState> next = [];
        Pool(s, next);
        Read(s, 'A', next);
        Read(s, 'B', next);
        Reply(s, next);
        Serve(s, next);
        Deliver(s, next);
        internals = next.Count;
        Send(s, 'A', alphabetA, messagesA, next);
        Send(s, 'B', alphabetB, messagesB, next);
        Misfortunes(s, next);
        return next;
    }

    /// <summary>What must hold in every state.</summary>
    public static string? Broken(LeaseState s)
    {
        if (s.Violation != null)
        {
            return s.Violation;
        }

        if (s.A.Phase is ClientPhase.Granted or ClientPhase.Leased && s.B.Phase is ClientPhase.Granted or ClientPhase.Leased)
        {
            return "two holders";
        }

        bool isFree = s.Holder == '-' || s[s.Holder == 'B' ? 'B' : 'A'].Phase == ClientPhase.Granted;
        if (isFree && s.Holder != 'H' && s.IsAlive)
        {
            return HasWork(s.ToServer) || s.Running.Length > 0 ? "an idle server has work"
                : s.FromServer.Length > 0 ? "an idle server owes a reply"
                : s.Status != 'I' || s.ServerSkips || s.Copy != '-' ? "an idle server is in the middle of something"
                : s.Dirt != '-' ? "an idle server is dirty"
                : s.Cancel != '-' ? "a cancel is under way to an idle server"
                : null;
        }

        return null;
    }

    /// <summary>Whole COPY frames that come too late are read and ignored; anything else is work, and half a frame is worse.</summary>
    private static bool HasWork(string toServer)
    {
        bool isHalf = false;
        for (int i = 0; i < toServer.Length; i += 3)
        {
            if (isHalf != (toServer[i] == 'l') || !"Dhlcf".Contains(toServer[i]))
            {
                return true;
            }

            isHalf = toServer[i] == 'h';
        }

        return isHalf;
    }

    /// <summary>What must hold when nothing happens any more unless a client acts.</summary>
    public static string? Stuck(LeaseState s)
    {
        foreach (char name in "AB")
        {
            ModelClient client = s[name];
            bool isWaiting = client.Phase is ClientPhase.Waiting or ClientPhase.Granted;
            if (isWaiting && (s.Holder is '-' or 'H' || s[s.Holder].Phase != ClientPhase.Leased))
            {
                return "a client waits and nobody holds the server";
            }

            if (isWaiting && s.IsSettled && s.KnownStatus == 'I' && !s[s.Holder].PassedHalf)
            {
                return "a client waits for a server that its holder does not need";
            }
        }

        return s.Holder == 'H' ? "a clean-up does not come to its end" : s.Ask != '-' ? "a cancel is kept for ever" : null;
    }

    private static void Send(LeaseState s, char name, string alphabet, int budget, List<LeaseState> next)
    {
        ModelClient c = s[name];
        if (c.HasLeft || c.Phase == ClientPhase.Gone)
        {
            return;
        }

        next.Add(s.With(name, c with { HasLeft = true, Inbox = c.Inbox + '!' }));
        foreach (char message in alphabet[0] != '=' ? alphabet : alphabet[(c.Sent < budget ? c.Sent + 1 : 1)..][..1])
        {
            if (c.Sent < budget && (message == 'l') == c.SendsHalf)
            {
                next.Add(s.With(name, c with { Sent = c.Sent + 1, Inbox = c.Inbox + message, SendsHalf = message == 'h', HasLeft = message == 'X' }));
            }
        }
    }

    private void Misfortunes(LeaseState s, List<LeaseState> next)
    {
        if (s.Cancels > 0 && s is { Ask: '-', Cancel: '-', A.HasLeft: false } && s.A.Phase != ClientPhase.Gone && s.A.Sent > s.A.Answered)
        {
            next.Add(s with { Cancels = s.Cancels - 1, Ask = 'a', CancelNumber = s.A.Answered, CancelReach = 0 });
        }

        if (s.IsAlive && s.Deaths > 0)
        {
            next.Add(Die(s with { Deaths = s.Deaths - 1 }));
        }

        foreach (char name in "AB")
        {
            if (s[name].Phase == ClientPhase.Waiting)
            {
                next.Add(Leave(s, name)); // query_wait_timeout
            }
            else if (s[name].Phase == ClientPhase.Leased && s.Owed.Length > 0)
            {
                next.Add(Leave(s, name)); // query_timeout
            }
        }

        if (s.Holder == 'H' && s.IsAlive)
        {
            next.Add(Close(s)); // server_cleanup_timeout
        }
    }

    /// <summary>A's CancelRequest reaches its session.</summary>
    private void Deliver(LeaseState s, List<LeaseState> next)
    {
        if (s.Ask != 'a')
        {
            return;
        }

        LeaseState ended = EndCancel(s with { Ask = '-' });
        if (s.A.Answered != s.CancelNumber && mutant != Mutant.CancelWhateverRuns)
        {
            next.Add(ended);
            return;
        }

        switch (s.A.Phase)
        {
            case ClientPhase.Waiting:
                next.Add(Refuse(ended));
                break;
            case ClientPhase.Granted when s.Holder == 'A':
                ended = Refuse(ended);
                next.Add(mutant == Mutant.LoseTheGrantOfACanceled ? ended : s.IsAlive ? Free(ended) : ended with { Holder = '-' });
                break;
            case ClientPhase.Leased when s.Owed.Length > 0 || (s.KnownStatus == 'I' && s.A.Inbox.Length > 0):
                next.Add(SendCancel(s with { Ask = 'p' }));
                break;
            default:
                next.Add(ended);
                break;
        }
    }

    /// <summary>A kept cancel goes to the server when nothing of the pooler's own is in front; a request that was not sent is refused.</summary>
    private LeaseState SendCancel(LeaseState s)
    {
        if (s.Ask != 'p' || s.A.Phase != ClientPhase.Leased || (s.Owed.StartsWith('P') && mutant != Mutant.CancelTheSettings))
        {
            return s;
        }

        return s.Owed.Length > 0 ? s with { Ask = '-', Cancel = 'A' } : GoOn(Refuse(s with { Ask = '-' }) with { Holder = 'H' });
    }

    private static LeaseState EndCancel(LeaseState s) => s with { CancelNumber = 0, CancelReach = 0 };

    /// <summary>No server has seen A's request: it is answered with an error.</summary>
    private static LeaseState Refuse(LeaseState s) => Answer(
        s.With('A', s.A with { Phase = ClientPhase.Idle, Inbox = s.A.Inbox[1..], Read = s.A.Read + 1 }) with { Waiters = s.Waiters.Replace("A", "") });

    /// <summary>A has its answer: what is cancelled from now on is another request.</summary>
    private static LeaseState Answer(LeaseState s) => s.With('A', s.A with { Answered = s.A.Answered + 1 }) with
    {
        Ask = s.Ask == 'p' ? '-' : s.Ask,
        CancelReach = (s.Ask == 'a' || s.Cancel == 'A') && s.CancelReach == 0 && s.CancelNumber == s.A.Answered ? s.A.Sent : s.CancelReach,
    };

    /// <summary>The pools' part: a new server for who waits, and a granted client that takes up its server.</summary>
    private void Pool(LeaseState s, List<LeaseState> next)
    {
        if (!s.IsAlive && s.FromServer.Length == 0 && s.Holder == '-' && s.Waiters.Length > 0)
        {
            next.Add(Free(Fresh(s)));
        }

        foreach (char name in "AB")
        {
            if (s[name].Phase == ClientPhase.Granted && s.Holder == name)
            {
                next.Add(s.IsAlive ? Hold(s, name) : Wait(s with { Holder = '-' }, name, atHead: true));
            }
        }
    }

    /// <summary>The pooler reads one message of a client.</summary>
    private void Read(LeaseState s, char name, List<LeaseState> next)
    {
        ModelClient c = s[name];
        if (c.Inbox.Length == 0 || c.Phase == ClientPhase.Gone)
        {
            return;
        }

        char message = c.Inbox[0];
        if (c.Phase is ClientPhase.Waiting or ClientPhase.Granted)
        {
            // A waiting client is read on for its end alone.
            if (c.HasLeft && c.Inbox.EndsWith('!'))
            {
                next.Add(Leave(s, name));
            }

            return;
        }

        if (name == s.Cancel && s.Holder == name && (s.Owed.Length == 0 || (s.CancelReach > 0 && mutant != Mutant.PipelineUnderACancel)) && mutant != Mutant.ForwardUnderACancel)
        {
            return; // Of what was answered: it must not hit what follows.
        }

        LeaseState read = s.With(name, c with { Inbox = c.Inbox[1..], Read = c.Read + 1 });
        if (message is '!' or 'X')
        {
            next.Add(Leave(read, name, isPolite: message == 'X'));
        }
        else if (c.Phase == ClientPhase.Leased)
        {
            next.Add(AfterAll(Forward(read, name, message), atReply: false));
        }
        else if ("SDchl".Contains(message))
        {
            next.Add(read); // Answered or swallowed without a server.
        }
        else
        {
            next.Add(s.IsAlive && s.Holder == '-' && s.Waiters.Length == 0 ? Hold(s with { Holder = name }, name) : Wait(s, name, atHead: false));
        }
    }

    private static LeaseState Wait(LeaseState s, char name, bool atHead) =>
        s.With(name, s[name] with { Phase = ClientPhase.Waiting }) with { Waiters = atHead ? name + s.Waiters : s.Waiters + name };

    /// <summary>The server is the client's; its settings go in front of what it sends.</summary>
    private LeaseState Hold(LeaseState s, char name)
    {
        s = s.With(name, s[name] with { Phase = ClientPhase.Leased });
        return s.KnownSettings == name || mutant == Mutant.NoSettings ? s : Ask(s, 'P', name) with { KnownSettings = name };
    }

    /// <summary>A request of the pooler's own.</summary>
    private static LeaseState Ask(LeaseState s, char message, char owner = 'H') =>
        Push(s, message) with { ToServer = s.ToServer + message + 'H' + owner };

    /// <summary>Push before write.</summary>
    private LeaseState Forward(LeaseState s, char name, char message)
    {
        bool isCopyFrame = "Dchl".Contains(message);
        if (s.InCopy && !isCopyFrame && message != 'S')
        {
            return Leave(s, name); // Refused with FATAL.
        }

        ModelClient c = s[name];
        if (message == 'l' && !c.PassedHalf)
        {
            return s; // The rest of what was swallowed.
        }

        if (isCopyFrame && message != 'l' && !s.InCopy && s.Owed.Length == 0)
        {
            return s;
        }

        s = Push(s, message).With(name, c with { PassedHalf = message == 'h' });
        return s with { ToServer = s.ToServer + message + name + c.Read, KnownDirty = s.KnownDirty || message == 'W' };
    }

    private static LeaseState Push(LeaseState s, char message)
    {
        switch (message)
        {
            case 'S' when s.InCopy:
                return s with { Dropped = true };
            case 'S':
                return s with { Owed = s.Owed + 'S', BatchOpen = false, Skipping = false };
            case 'c' when s.InCopy:
                return s with { InCopy = false };
            case 'c':
                return s.Owed.Length == 0 || s.Skipping ? s : s with { Owed = s.Owed + 'c' };
            case 'D' or 'h' or 'l':
                return s;
            default:
                return s.Skipping ? s : s with { Owed = s.Owed + message, BatchOpen = s.BatchOpen || message is 'E' or 'Y' };
        }
    }

    /// <summary>A client is no more: what it held is cleaned up, what it was granted goes on.</summary>
    private LeaseState Leave(LeaseState s, char name, bool isPolite = false)
    {
        ModelClient c = s[name];
        bool wasHolder = s.Holder == name;
        s = s.With(name, c with { Phase = ClientPhase.Gone, Inbox = "", PassedHalf = false }) with { Waiters = s.Waiters.Replace($"{name}", "") };
        s = name == 'A' ? s with { Ask = s.Ask == 'p' ? '-' : s.Ask, CancelReach = 0 } : s;
        if (!wasHolder)
        {
            return s;
        }

        if (c.Phase == ClientPhase.Granted)
        {
            return mutant == Mutant.LoseTheGrantOfALeaver ? s : s.IsAlive ? Free(s) : s with { Holder = '-' };
        }

        if (!s.IsAlive || (c.PassedHalf && mutant != Mutant.KeepServerAfterHalfAMessage))
        {
            return Close(s);
        }

        // A cancel that hits the settings that went along would let the request behind them run without.
        bool settingsFirst = s.Owed.StartsWith('P') && mutant != Mutant.CancelTheSettings;
        bool cancels = !isPolite && s.Owed.Length > 0 && !s.InCopy && !settingsFirst;
        return GoOn(EndCopyAndBatch(s with { Holder = 'H', Cancel = cancels || s.Cancel != '-' ? name : '-' }));
    }

    private LeaseState EndCopyAndBatch(LeaseState s)
    {
        if (s.InCopy && mutant != Mutant.NoCopyFail)
        {
            s = s with { InCopy = false, ToServer = s.ToServer + "fH0" };
        }

        return s.BatchOpen && mutant != Mutant.NoSync ? Ask(s, 'S') : s;
    }

    /// <summary>The clean-up's next step, when the last one is answered.</summary>
    private LeaseState GoOn(LeaseState s)
    {
        bool waitsForCancel = s.Cancel != '-' && mutant != Mutant.ReleaseWithACancelUnderWay;
        bool isSettled = s.IsSettled || (mutant == Mutant.NoSync && s.Owed.Length == 0) || (mutant == Mutant.NoCopyFail && s.InCopy);
        if (!isSettled || waitsForCancel)
        {
            return s;
        }

        if (s.KnownStatus != 'I' && mutant != Mutant.NoRollback)
        {
            return Ask(s, 'r');
        }

        if ((s.KnownDirty && mutant != Mutant.ReleaseDirty) || s.Doubt)
        {
            return Ask(s, 'd') with { KnownDirty = false, Doubt = false, KnownSettings = '-' };
        }

        return Free(s);
    }

    /// <summary>A clean server goes to the oldest waiter, or is idle.</summary>
    private LeaseState Free(LeaseState s)
    {
        s = s with { BatchOpen = false, Skipping = false, InCopy = false, Owed = "", HeadDone = false, Dropped = false };
        if (s.Waiters.Length == 0 || mutant == Mutant.WakeNobody)
        {
            return s with { Holder = '-' };
        }

        char first = s.Waiters[0];
        s = s.With(first, s[first] with { Phase = ClientPhase.Granted }) with { Holder = first, Waiters = s.Waiters[1..] };
        if (mutant == Mutant.GrantTwice && s.Waiters.Length > 0)
        {
            char second = s.Waiters[0];
            s = s.With(second, s[second] with { Phase = ClientPhase.Granted }) with { Waiters = s.Waiters[1..] };
        }

        return s;
    }

    /// <summary>Release only when everything is answered, and nothing half-way.</summary>
    private LeaseState AfterAll(LeaseState s, bool atReply)
    {
        if (s.Holder is '-' or 'H' || s[s.Holder].Phase != ClientPhase.Leased || !s.IsAlive || (mutant == Mutant.ReleaseOnlyAtReplies && !atReply))
        {
            return s;
        }

        bool isSettled = s.IsSettled
            || (mutant == Mutant.ReleaseBeforeTheQueueIsEmpty && atReply)
            || (mutant == Mutant.ReleaseInABatch && s.Owed.Length == 0 && !s.InCopy);
        bool isHalfWay = s[s.Holder].PassedHalf && mutant != Mutant.ReleaseMidFrame;
        if (!isSettled || isHalfWay || (s.KnownStatus != 'I' && mutant != Mutant.ReleaseInATransaction))
        {
            return s;
        }

        s = s.With(s.Holder, s[s.Holder] with { Phase = ClientPhase.Idle, PassedHalf = false });
        bool isCanceled = s.Cancel != '-' && mutant != Mutant.ReleaseWithACancelUnderWay;
        return (s.KnownDirty && mutant != Mutant.ReleaseDirty) || s.Doubt || isCanceled ? GoOn(s with { Holder = 'H' }) : Free(s);
    }

    /// <summary>The pooler reads one message of the server, or its end.</summary>
    private void Reply(LeaseState s, List<LeaseState> next)
    {
        if (s.FromServer.Length == 0)
        {
            if (!s.IsAlive && s.Holder is not '-' && (s.Holder == 'H' || s[s.Holder].Phase == ClientPhase.Leased))
            {
                next.Add(Close(s));
            }

            return;
        }

        (char reply, char cause) = (s.FromServer[0], s.FromServer[1]);
        LeaseState read = s with { FromServer = s.FromServer[3..] };
        bool isClients = s.Holder is 'A' or 'B' && s[s.Holder].Phase == ClientPhase.Leased;
        if (!isClients && s.Holder != 'H')
        {
            next.Add(Close(read));
            return;
        }

        bool isOurs = s.Owed.Length > 0 && "Prd".Contains(s.Owed[0]);
        LeaseState? taken = Accept(read, reply);
        if (taken == null)
        {
            next.Add(Close(read));
            return;
        }

        if (isClients && !isOurs && cause != s.Holder)
        {
            taken = taken.Break($"a reply to {cause} reached {s.Holder}");
        }

        if (s.Holder == 'H')
        {
            taken = GoOn(reply == 'g' ? EndCopyAndBatch(taken) : taken);
        }
        else
        {
            bool isReady = "ITE".Contains(reply);
            taken = looksAtCancels && isReady && !isOurs && s.Holder == 'A' ? Answer(taken) : taken;
            taken = AfterAll(isReady ? SendCancel(taken) : taken, atReply: isReady);
        }

        next.Add(taken);
    }

    /// <summary>What the reply queue makes of a reply; null when it cannot be.</summary>
    private LeaseState? Accept(LeaseState s, char reply)
    {
        if (s.Owed.Length == 0)
        {
            return null;
        }

        char head = s.Owed[0];
        bool isReady = "ITE".Contains(reply);
        if (head == 'S')
        {
            return isReady ? Pop(s, reply) : null;
        }

        if (Simple.Contains(head))
        {
            switch (reply)
            {
                case 'k':
                    return s with { HeadDone = true, Dropped = false };
                case 'e' when "Prd".Contains(head):
                    return null; // Refused settings and a clean-up that fails cost the server.
                case 'e':
                    return s with { HeadDone = true, InCopy = false, Dropped = false, Doubt = s.Doubt || (s.Dropped && mutant != Mutant.TrustAFailedCopy) };
                case 'g' when head == 'C':
                    return EnterCopy(s);
                default:
                    return isReady && (s.HeadDone || mutant == Mutant.TrustAFailedCopy) ? Pop(s, reply) : null;
            }
        }

        switch (reply)
        {
            case 'k' when head is 'E' or 'Y':
                return Pop(s, s.KnownStatus) with { Dropped = false };
            case 'g' when head == 'Y':
                return EnterCopy(s);
            case 'e':
                int sync = s.Owed.IndexOf('S');
                s = s with { InCopy = false, Dropped = false, Doubt = s.Doubt || (s.Dropped && mutant != Mutant.TrustAFailedCopy) };
                return sync < 0 ? s with { Owed = "", Skipping = true, BatchOpen = true } : s with { Owed = s.Owed[sync..] };
            default:
                return null;
        }
    }

    private static LeaseState Pop(LeaseState s, char status) => s with { Owed = s.Owed[1..].TrimStart('c'), KnownStatus = status, HeadDone = false };

    /// <summary>Everything behind the COPY up to its end is taken for ignored, if it is a Sync.</summary>
    private static LeaseState EnterCopy(LeaseState s)
    {
        int end = s.Owed.IndexOf('c');
        string inside = s.Owed[1..(end < 0 ? s.Owed.Length : end)], behind = end < 0 ? "" : s.Owed[(end + 1)..];
        string owed = s.Owed[0] + inside.Replace("S", "") + behind;
        bool batchOpen = s.Owed[0] == 'Y';
        foreach (char kind in owed.AsSpan(1))
        {
            batchOpen = kind is 'E' or 'Y' || (batchOpen && kind != 'S');
        }

        return s with { Owed = owed, InCopy = end < 0, BatchOpen = batchOpen, Skipping = false, Dropped = s.Dropped || inside.Length > 0 };
    }

    /// <summary>The server works, and a cancel arrives.</summary>
    private void Serve(LeaseState s, List<LeaseState> next)
    {
        if (!s.IsAlive)
        {
            return;
        }

        if (s.Cancel != '-')
        {
            LeaseState hit = EndCancel(s with { Cancel = '-' });
            if (s.Running.Length > 0)
            {
                hit = hit with { IsHit = true };
                hit = s.Running[1] == s.Cancel || (s.Running[0] == 'P' && s.Holder == 'H') ? hit : hit.Break($"a cancel for {s.Cancel} hit {s.Running}");
                hit = s.CancelReach == 0 || s.Running[1] != 'A' || s.Running[2] - '0' <= s.CancelReach ? hit : hit.Break($"a cancel came late and hit {s.Running}");
            }
            else if (s.Copy != '-')
            {
                hit = FailCopy(hit, s.CopyCause);
            }

            next.Add(hit.Holder == 'H' ? GoOn(hit) : hit);
        }

        if (s.Running.Length > 0)
        {
            Finish(s, next);
        }
        else if (s.ToServer.Length > 0)
        {
            Begin(s, next);
        }
    }

    private static void Begin(LeaseState s, List<LeaseState> next)
    {
        string message = s.ToServer[..3];
        LeaseState read = s with { ToServer = s.ToServer[3..] };
        char kind = message[0];
        if (kind == 'h')
        {
            if (read.ToServer.Length == 0)
            {
                return; // Half a message: the server waits for the rest.
            }

            if (read.ToServer[0] != 'l' || read.ToServer[1] != message[1])
            {
                next.Add(s.Break("a message was cut by another's"));
                return;
            }

            (kind, read) = ('D', read with { ToServer = read.ToServer[3..] });
        }

        if (s.Copy != '-')
        {
            switch (kind)
            {
                case 'D':
                    next.Add(read);
                    next.Add(FailCopy(read, message));
                    break;
                case 'c':
                    LeaseState done = Say(read with { Copy = '-' }, 'k', s.CopyCause);
                    next.Add(s.Copy == 'Q' ? Say(done, done.Status, s.CopyCause) : done);
                    break;
                case 'f':
                    next.Add(FailCopy(read, s.CopyCause));
                    break;
                case 'S':
                    next.Add(read);
                    break;
                default:
                    next.Add(Die(read));
                    break;
            }
        }
        else if (kind == 'S')
        {
            next.Add(Say(read with { ServerSkips = false }, s.Status, message));
        }
        else if (s.ServerSkips || "Dcf".Contains(kind))
        {
            next.Add(read);
        }
        else
        {
            next.Add(Start(read, message));
        }
    }

    private static LeaseState Start(LeaseState s, string message)
    {
        s = s with { Running = message };
        if (message[1] == 'H')
        {
            return s;
        }

        int bit = 1 << ((message[2] - '0') + (message[1] == 'A' ? 0 : 12));
        s = (s.Ran & bit) != 0 ? s.Break($"{message} ran twice") : s with { Ran = s.Ran | bit };
        return s.Settings != message[1] ? s.Break($"{message} ran with the settings of {s.Settings}")
            : s.Dirt != '-' && s.Dirt != message[1] ? s.Break($"{message} ran with the session state of {s.Dirt}") : s;
    }

    private static void Finish(LeaseState s, List<LeaseState> next)
    {
        string cause = s.Running;
        char kind = cause[0];
        LeaseState done = s with { Running = "", IsHit = false };
        bool isSimple = Simple.Contains(kind);
        if (kind is not ('r' or 'P' or 'd') || s.IsHit)
        {
            LeaseState failed = Say(done with { Status = s.Status == 'I' ? 'I' : 'E', ServerSkips = !isSimple }, 'e', cause);
            next.Add(isSimple ? Say(failed, failed.Status, cause) : failed);
        }

        if (s.IsHit || (s.Status == 'E' && kind != 'r'))
        {
            return;
        }

        if (kind is 'C' or 'Y')
        {
            next.Add(Say(done with { Copy = isSimple ? 'Q' : 'E', CopyCause = cause }, 'g', cause));
            return;
        }

        done = Say(kind switch
        {
            'W' => done with { Dirt = cause[1] },
            'T' => done with { Status = 'T' },
            'r' => done with { Status = 'I' },
            'd' => done with { Dirt = '-', Settings = '-' },
            'P' => done with { Settings = cause[2] },
            _ => done,
        }, 'k', cause);
        next.Add(isSimple ? Say(done, done.Status, cause) : done);
    }

    private static LeaseState FailCopy(LeaseState s, string cause)
    {
        bool isSimple = s.Copy == 'Q';
        s = Say(s with { Copy = '-', ServerSkips = !isSimple, Status = s.Status == 'I' ? 'I' : 'E' }, 'e', s.CopyCause.Length > 0 ? s.CopyCause : cause);
        return isSimple ? Say(s, s.Status, s.CopyCause) : s;
    }

    private static LeaseState Say(LeaseState s, char reply, string cause) => s with { FromServer = s.FromServer + reply + cause[1..] };

    private static LeaseState Die(LeaseState s) =>
        s with { IsAlive = false, ToServer = "", Running = "", Copy = '-', IsHit = false, ServerSkips = false, Status = 'I', Dirt = '-', Cancel = '-' };

    /// <summary>The pooler closes a server, or has read its end: whoever holds it is told and ends.</summary>
    private LeaseState Close(LeaseState s)
    {
        char holder = s.Holder;
        bool hadRequest = s.Owed.Length > 0;
        s = Fresh(Die(s)) with { IsAlive = false, Holder = '-' };
        if (holder is not ('A' or 'B'))
        {
            return s;
        }

        ModelClient c = s[holder];
        if (c.Phase == ClientPhase.Granted)
        {
            return Wait(s, holder, atHead: true);
        }

        if (mutant == Mutant.SendAgain && hadRequest && c.Phase == ClientPhase.Leased && c.Read > 0)
        {
            return Wait(s.With(holder, c with { Read = c.Read - 1, Inbox = "Q" + c.Inbox }), holder, atHead: true);
        }

        return s.With(holder, c with { Phase = ClientPhase.Gone, Inbox = "", PassedHalf = false }) with { Ask = s.Ask == 'p' ? '-' : s.Ask };
    }

    /// <summary>A server that has just logged in.</summary>
    private static LeaseState Fresh(LeaseState s) => s with
    {
        IsAlive = true, FromServer = "", ToServer = "", Owed = "", BatchOpen = false, Skipping = false, InCopy = false, HeadDone = false, Dropped = false,
        Doubt = false, KnownStatus = 'I', KnownDirty = false, KnownSettings = '-', Cancel = '-', Settings = '-', Dirt = '-', Status = 'I', CopyCause = "",
    };
}
