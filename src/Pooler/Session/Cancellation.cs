using Pooler.Backend;

namespace Pooler.Session;

/// <summary>
/// The CancelRequests for what one session has asked for at the moment. One CancelRequest is under way to its server at a time; those
/// that come meanwhile lead to one more, if there is still something to cancel. All of it is over when the request is answered.
/// </summary>
internal sealed class Cancellation(ClientSession session, Exchange exchange)
{
    // More of them at once change nothing: a client that asks so often is not kept waiting.
    private const int MaxWaiting = 16;

    private readonly List<CancelRequest> _waiting = [];
    private int _sent;
    private bool _isWanted, _isSending;

    /// <summary>The request of the moment is to be cancelled: if it does not run yet it never will.</summary>
    public bool IsAsked { get; private set; }

    /// <summary>A CancelRequest is still under way for what has been answered: what is sent behind that must not be hit.</summary>
    public bool IsLate { get; private set; }

    /// <summary>Those that are not over yet.</summary>
    public IReadOnlyList<CancelRequest> Requests => _waiting;

    public void Ask(CancelRequest request)
    {
        IsAsked = _isWanted = true;
        if (_waiting.Count < MaxWaiting)
        {
            _waiting.Add(request);
            session.Stats.CancelsWaiting++;
        }
        else
        {
            request.Done();
        }
    }

    /// <summary>Sends what is wanted to the server that runs the request.</summary>
    public void Send(ServerConnection server)
    {
        if (!_isWanted || _isSending)
        {
            return;
        }

        int number = session.RequestNumber;
        _isWanted = false;
        _isSending = true;
        _sent = _waiting.Count;
        _waiting.ForEach(static request => request.IsActive = true);
        session.Stats.CancelsWaiting -= _sent;
        session.Stats.CancelsActive += _sent;
        session.Stats.ServerCancels++;
        CancelSender.Send(
            server, session.Settings.CancelWaitTimeout, () => number == session.RequestNumber && exchange.Server == server && exchange.AwaitsReplies, Sent);
    }

    /// <summary>The request is answered: there is nothing left to cancel. What is under way is waited for.</summary>
    public void RequestEnded()
    {
        IsAsked = _isWanted = false;
        IsLate = _isSending;
        int first = _isSending ? _sent : 0;
        session.Stats.CancelsWaiting -= _waiting.Count - first;
        Finish(first, _waiting.Count - first);
    }

    private void Sent()
    {
        _isSending = IsLate = false;
        session.Stats.ServerCancels--;
        session.Stats.CancelsActive -= _sent;
        Finish(0, _sent);
        _sent = 0;
        exchange.SendCancel(); // Perhaps for the next request, on another server: then nobody else tells the session.
    }

    private void Finish(int first, int count)
    {
        for (int i = first; i < first + count; i++)
        {
            _waiting[i].Done();
        }

        _waiting.RemoveRange(first, count);
    }
}
