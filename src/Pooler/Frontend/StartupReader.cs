using System.Buffers.Binary;
using System.Net;
using Pooler.Config;
using Pooler.Errors;
using Pooler.Net;
using Pooler.Protocol;

namespace Pooler.Frontend;

/// <summary>
/// What comes before a client says who it is: its proxy's header, the requests for encryption with their answers, TLS, and the
/// startup packet, or a cancel request in its place (PostgreSQL documentation, 55.2.1 and 55.2.11).
/// </summary>
internal sealed class StartupReader(ClientLogin login, PoolerConfig config)
{
    /// <summary>The first byte of a TLS handshake; in a startup packet's length it would mean 352 MB.</summary>
    private const byte TlsHandshakeRecord = 0x16;

    private readonly ConnectionInput _input = login.Client.Input;

    // Over a Unix socket there is no TLS, as in PostgreSQL and PgBouncer.
    private readonly ClientTls? _tls = login.IsUnix ? null : config.ClientTls;

    /// <summary>Null: a cancel request, which has been dealt with, or the login is refused, or the client has gone.</summary>
    public async ValueTask<StartupPacket?> ReadAsync() =>
        await ReadProxyHeaderAsync() && await TakeDirectTlsAsync() ? await ReadStartupAsync() : null;

    /// <summary>From a proxy of ours the header must come first: what it says is believed, and there is no guessing.</summary>
    private async ValueTask<bool> ReadProxyHeaderAsync()
    {
        NetworkList proxies = config.Get(Settings.ProxyProtocolNetworks);
        if (login.IsUnix || proxies.IsEmpty || !IPAddress.TryParse(login.Client.Name(peer: true).Address, out IPAddress? address) || !proxies.Holds(address))
        {
            return true;
        }

        do
        {
            switch (ProxyHeader.Read(_input.Unread, out int length, out IPEndPoint? source))
            {
                case ProxyHeaderState.Whole:
                    _input.Advance(length);
                    login.Client.ProxiedPeer = source;
                    return true;
                case ProxyHeaderState.Malformed:
                    login.Refuse(LoginErrors.NoProxyHeader.Fields());
                    return false;
            }
        }
        while (await WaitAsync());
        return false;
    }

    /// <summary>A client with sslnegotiation=direct does not ask; it must say by ALPN that it means PostgreSQL (CVE-2024-10977's kin: ALPACA).</summary>
    private async ValueTask<bool> TakeDirectTlsAsync()
    {
        while (_tls != null && _input.UnreadLength == 0)
        {
            if (!await WaitAsync())
            {
                return false;
            }
        }

        if (_tls == null || _input.Unread[0] != TlsHandshakeRecord)
        {
            return true;
        }

        if (!await login.StartTlsAsync(_tls))
        {
            return false;
        }

        if (!login.Tls!.HasAgreedOnPostgres)
        {
            login.Refuse(LoginErrors.NoAlpn.Fields());
        }

        return !login.IsRefused;
    }

    private async ValueTask<StartupPacket?> ReadStartupAsync()
    {
        bool sslAsked = login.Tls != null, gssAsked = login.Tls != null;
        while (await ReadUntypedAsync() is { } body)
        {
            switch (StartupPacket.ReadCode(body))
            {
                case StartupPacket.SslRequest when !sslAsked:
                    sslAsked = true;
                    if (_tls == null)
                    {
                        Answer("N"u8);
                    }
                    else if (await TakeTlsAsync(_tls))
                    {
                        gssAsked = true;
                    }
                    else
                    {
                        return null;
                    }

                    break;
                case StartupPacket.GssEncRequest when !gssAsked:
                    gssAsked = true;
                    Answer("N"u8);
                    break;
                case StartupPacket.CancelRequest:
                    await login.CancelAsync(body); // In clear too: libpq before 17 cannot do it otherwise.
                    return null;
                default:
                    return Read(body);
            }
        }

        return null;
    }

    private StartupPacket? Read(byte[] body)
    {
        if (!StartupPacket.TryParse(body, out StartupPacket? packet, out string problem))
        {
            login.Refuse(LoginErrors.BadStartup.Fields(problem));
        }
        else if (_tls is { IsRequired: true } && login.Tls == null)
        {
            login.Refuse(LoginErrors.TlsRequired.Fields());
        }

        return login.IsRefused ? null : packet;
    }

    /// <summary>What came before the handshake would be taken for something that came through it (CVE-2021-23214).</summary>
    private async ValueTask<bool> TakeTlsAsync(ClientTls tls)
    {
        if (_input.UnreadLength > 0)
        {
            login.Refuse(LoginErrors.Unencrypted.Fields());
            return false;
        }

        Answer("S"u8);
        return await login.StartTlsAsync(tls);
    }

    private void Answer(ReadOnlySpan<byte> answer)
    {
        login.Client.Outbox.Append(answer);
        login.Client.Outbox.Flush();
    }

    /// <summary>A packet without a type: its body, or null with the login refused or the client gone.</summary>
    private async ValueTask<byte[]?> ReadUntypedAsync()
    {
        do
        {
            int length = _input.UnreadLength >= 4 ? BinaryPrimitives.ReadInt32BigEndian(_input.Unread) : 8;
            if (length is < 8 or > ClientLogin.MaxStartup)
            {
                login.Refuse(LoginErrors.BadLength.Fields());
                return null;
            }

            if (_input.UnreadLength >= length)
            {
                byte[] body = _input.Unread[4..length].ToArray();
                _input.Advance(length);
                return body;
            }
        }
        while (await WaitAsync());
        return null;
    }

    /// <summary>More bytes; false: none will come, or nobody wants them any more.</summary>
    private async ValueTask<bool> WaitAsync()
    {
        _input.Advance(0);
        if (login.IsRefused || _input.IsEnded)
        {
            return false;
        }

        await _input.WaitAsync();
        return !login.IsRefused;
    }
}
