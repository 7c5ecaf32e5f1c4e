using Pooler.Net;

namespace Pooler.Admin;

/// <summary>A command that answers only when something has come about; its client may give up (Ctrl-C) or leave meanwhile.</summary>
internal static class ConsoleWait
{
    private const long PollMicroseconds = 50_000;

    /// <summary>False when the client gave up.</summary>
    public static async ValueTask<bool> Until(ConsoleSession session, Func<bool> isOver)
    {
        Connection client = session.Client;
        var timer = new PollTimer(client);
        while (!isOver())
        {
            if (session.IsCanceled || client.HasHungUp || client.Input.IsEnded)
            {
                return false;
            }

            client.Owner.Wheel.Set(timer, client.Owner.Now + PollMicroseconds);
            await client.Input.ParkAsync();
        }

        client.Owner.Wheel.Clear(timer);
        return true;
    }

    private sealed class PollTimer(Connection client) : WheelTimer
    {
        internal override void Expired() => client.Input.Wake();
    }
}
