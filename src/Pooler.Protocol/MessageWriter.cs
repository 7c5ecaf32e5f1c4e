using System.Buffers;
using System.Text;

namespace Pooler.Protocol;

/// <summary>
/// Builds the messages the pooler says itself, to clients (as a server) and to servers (as a client). Each is written whole, in one
/// span asked of the output (PostgreSQL documentation, 55.7 Message Formats). Strings go out as UTF-8; one with a NUL inside is an
/// <see cref="ArgumentException"/> and nothing is written, except in errors and notices, where the NUL becomes a blank.
/// </summary>
public readonly struct MessageWriter(IBufferWriter<byte> output)
{
    private const int ShortestSecret = 4;
    private const int LongestSecret = 256;

    /// <summary>ErrorResponse.</summary>
    public void WriteErrorResponse(string severity, string sqlState, string message, string? detail = null, string? hint = null) =>
        Diagnostic.Write(output, BackendMessage.ErrorResponse, severity, sqlState, message, detail, hint);

    /// <summary>NoticeResponse.</summary>
    public void WriteNotice(string severity, string sqlState, string message, string? detail = null, string? hint = null) =>
        Diagnostic.Write(output, BackendMessage.NoticeResponse, severity, sqlState, message, detail, hint);

    /// <summary>ParameterStatus.</summary>
    public void WriteParameterStatus(string name, string value)
    {
        var frame = new FrameCursor(output, BackendMessage.ParameterStatus, checked(FrameCursor.SizeOf(name) + FrameCursor.SizeOf(value)));
        frame.CString(name);
        frame.CString(value);
        frame.End();
    }

    /// <summary>ParameterStatus with the bytes a server sent, whatever its encoding.</summary>
    public void WriteParameterStatus(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var frame = new FrameCursor(output, BackendMessage.ParameterStatus, checked(FrameCursor.SizeOf(name) + FrameCursor.SizeOf(value)));
        frame.CString(name);
        frame.CString(value);
        frame.End();
    }

    /// <summary>ReadyForQuery; the status is <c>I</c>, <c>T</c> or <c>E</c>.</summary>
    public void WriteReadyForQuery(byte status)
    {
        var frame = new FrameCursor(output, BackendMessage.ReadyForQuery, 1);
        frame.Byte(status);
        frame.End();
    }

    /// <summary>AuthenticationOk.</summary>
    public void WriteAuthenticationOk() => WriteAuthentication(AuthenticationKind.Ok, []);

    /// <summary>AuthenticationCleartextPassword.</summary>
    public void WriteAuthenticationCleartext() => WriteAuthentication(AuthenticationKind.CleartextPassword, []);

    /// <summary>AuthenticationMD5Password; the salt has four bytes.</summary>
    public void WriteAuthenticationMd5(ReadOnlySpan<byte> salt)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(salt.Length, Md5Password.SaltLength);
        WriteAuthentication(AuthenticationKind.Md5Password, salt);
    }

    /// <summary>AuthenticationSASL with the mechanisms offered, in order of preference.</summary>
    public void WriteAuthenticationSasl(params ReadOnlySpan<string> mechanisms)
    {
        int length = 4 + 1;
        foreach (string mechanism in mechanisms)
            length = checked(length + FrameCursor.SizeOf(mechanism));
        var frame = new FrameCursor(output, BackendMessage.Authentication, length);
        frame.Int32((int)AuthenticationKind.Sasl);
        foreach (string mechanism in mechanisms)
            frame.CString(mechanism);
        frame.Byte(0);
        frame.End();
    }

    /// <summary>AuthenticationSASLContinue.</summary>
    public void WriteAuthenticationSaslContinue(ReadOnlySpan<byte> data) => WriteAuthentication(AuthenticationKind.SaslContinue, data);

    /// <summary>AuthenticationSASLFinal.</summary>
    public void WriteAuthenticationSaslFinal(ReadOnlySpan<byte> data) => WriteAuthentication(AuthenticationKind.SaslFinal, data);

    /// <summary>BackendKeyData; the secret has four bytes up to protocol 3.1 and 4 to 256 from 3.2 on.</summary>
    public void WriteBackendKeyData(int processId, ReadOnlySpan<byte> secret)
    {
        RequireSecret(secret);
        var frame = new FrameCursor(output, BackendMessage.BackendKeyData, 4 + secret.Length);
        frame.Int32(processId);
        frame.Bytes(secret);
        frame.End();
    }

    /// <summary>
    /// NegotiateProtocolVersion: the newest 3.x we speak and the <c>_pq_.</c> options we do not know. On the wire the version is the
    /// whole number, major and minor, as PostgreSQL sends it and libpq reads it.
    /// </summary>
    public void WriteNegotiateProtocolVersion(int minor, params ReadOnlySpan<string> unknownOptions)
    {
        int length = 8;
        foreach (string option in unknownOptions)
            length = checked(length + FrameCursor.SizeOf(option));
        var frame = new FrameCursor(output, BackendMessage.NegotiateProtocolVersion, length);
        frame.Int32((StartupPacket.SupportedMajor << 16) | minor);
        frame.Int32(unknownOptions.Length);
        foreach (string option in unknownOptions)
            frame.CString(option);
        frame.End();
    }

    /// <summary>CommandComplete.</summary>
    public void WriteCommandComplete(string tag) => WriteString(BackendMessage.CommandComplete, tag);

    /// <summary>EmptyQueryResponse.</summary>
    public void WriteEmptyQueryResponse() => WriteEmpty(BackendMessage.EmptyQueryResponse);

    /// <summary>ParseComplete.</summary>
    public void WriteParseComplete() => WriteEmpty(BackendMessage.ParseComplete);

    /// <summary>BindComplete.</summary>
    public void WriteBindComplete() => WriteEmpty(BackendMessage.BindComplete);

    /// <summary>CloseComplete.</summary>
    public void WriteCloseComplete() => WriteEmpty(BackendMessage.CloseComplete);

    /// <summary>NoData.</summary>
    public void WriteNoData() => WriteEmpty(BackendMessage.NoData);

    /// <summary>PortalSuspended.</summary>
    public void WritePortalSuspended() => WriteEmpty(BackendMessage.PortalSuspended);

    /// <summary>ParameterDescription with the types' OIDs.</summary>
    public void WriteParameterDescription(params ReadOnlySpan<int> typeOids)
    {
        // The count is an unsigned 16-bit number for parameters.
        ArgumentOutOfRangeException.ThrowIfGreaterThan(typeOids.Length, ushort.MaxValue, nameof(typeOids));
        var frame = new FrameCursor(output, BackendMessage.ParameterDescription, 2 + (4 * typeOids.Length));
        frame.Int16(unchecked((short)typeOids.Length));
        foreach (int oid in typeOids)
            frame.Int32(oid);
        frame.End();
    }

    /// <summary>RowDescription: columns of no table, without a type modifier.</summary>
    public void WriteRowDescription(params ReadOnlySpan<ColumnDescription> columns)
    {
        short count = checked((short)columns.Length);
        int length = 2;
        foreach (ColumnDescription column in columns)
            length = checked(length + FrameCursor.SizeOf(column.Name) + 18);
        var frame = new FrameCursor(output, BackendMessage.RowDescription, length);
        frame.Int16(count);
        foreach (ColumnDescription column in columns)
        {
            frame.CString(column.Name);
            frame.Int32(0);
            frame.Int16(0);
            frame.Int32(column.TypeOid);
            frame.Int16(column.Length);
            frame.Int32(-1);
            frame.Int16((short)(column.IsBinary ? 1 : 0));
        }

        frame.End();
    }

    /// <summary>DataRow of text values; null is SQL's NULL.</summary>
    public void WriteDataRow(params ReadOnlySpan<string?> values)
    {
        short count = checked((short)values.Length);
        int length = 2;
        foreach (string? value in values)
            length = checked(length + 4 + (value is null ? 0 : Encoding.UTF8.GetByteCount(value)));
        var frame = new FrameCursor(output, BackendMessage.DataRow, length);
        frame.Int16(count);
        foreach (string? value in values)
        {
            frame.Int32(value is null ? -1 : Encoding.UTF8.GetByteCount(value));
            if (value is not null)
                frame.Text(value);
        }

        frame.End();
    }

    /// <summary>StartupMessage; the version is the whole number, such as <see cref="StartupPacket.Version30"/>.</summary>
    public void WriteStartup(int protocolVersion, params ReadOnlySpan<StartupParameter> parameters)
    {
        int length = 4 + 1;
        foreach (StartupParameter parameter in parameters)
        {
            // An empty name would be taken for the terminator and hide what follows.
            ArgumentException.ThrowIfNullOrEmpty(parameter.Name, nameof(parameters));
            length = checked(length + FrameCursor.SizeOf(parameter.Name) + FrameCursor.SizeOf(parameter.Value));
        }

        var frame = new FrameCursor(output, length);
        frame.Int32(protocolVersion);
        foreach (StartupParameter parameter in parameters)
        {
            frame.CString(parameter.Name);
            frame.CString(parameter.Value);
        }

        frame.Byte(0);
        frame.End();
    }

    /// <summary>SSLRequest.</summary>
    public void WriteSslRequest()
    {
        var frame = new FrameCursor(output, 4);
        frame.Int32(StartupPacket.SslRequest);
        frame.End();
    }

    /// <summary>CancelRequest with the key a server gave in its BackendKeyData.</summary>
    public void WriteCancelRequest(int processId, ReadOnlySpan<byte> secret)
    {
        RequireSecret(secret);
        var frame = new FrameCursor(output, 8 + secret.Length);
        frame.Int32(StartupPacket.CancelRequest);
        frame.Int32(processId);
        frame.Bytes(secret);
        frame.End();
    }

    /// <summary>PasswordMessage: a password, or the answer to an MD5 request.</summary>
    public void WritePassword(string password) => WriteString(FrontendMessage.Password, password);

    /// <inheritdoc cref="WritePassword(string)"/>
    public void WritePassword(ReadOnlySpan<byte> password) => WriteString(FrontendMessage.Password, password);

    /// <summary>SASLInitialResponse.</summary>
    public void WriteSaslInitialResponse(string mechanism, ReadOnlySpan<byte> data)
    {
        var frame = new FrameCursor(output, FrontendMessage.Password, checked(FrameCursor.SizeOf(mechanism) + 4 + data.Length));
        frame.CString(mechanism);
        frame.Int32(data.Length);
        frame.Bytes(data);
        frame.End();
    }

    /// <summary>SASLResponse.</summary>
    public void WriteSaslResponse(ReadOnlySpan<byte> data)
    {
        var frame = new FrameCursor(output, FrontendMessage.Password, data.Length);
        frame.Bytes(data);
        frame.End();
    }

    /// <summary>Query.</summary>
    public void WriteQuery(string text) => WriteString(FrontendMessage.Query, text);

    /// <inheritdoc cref="WriteQuery(string)"/>
    public void WriteQuery(ReadOnlySpan<byte> text) => WriteString(FrontendMessage.Query, text);

    /// <summary>Sync.</summary>
    public void WriteSync() => WriteEmpty(FrontendMessage.Sync);

    /// <summary>Terminate.</summary>
    public void WriteTerminate() => WriteEmpty(FrontendMessage.Terminate);

    /// <summary>CopyFail.</summary>
    public void WriteCopyFail(string reason) => WriteString(FrontendMessage.CopyFail, reason);

    /// <summary>CopyDone.</summary>
    public void WriteCopyDone() => WriteEmpty(FrontendMessage.CopyDone);

    private static void RequireSecret(ReadOnlySpan<byte> secret)
    {
        if (secret.Length is < ShortestSecret or > LongestSecret)
            throw new ArgumentOutOfRangeException(nameof(secret), "A cancel key has 4 to 256 bytes.");
    }

    private void WriteEmpty(byte type) => new FrameCursor(output, type, 0).End();

    private void WriteString(byte type, string text)
    {
        var frame = new FrameCursor(output, type, FrameCursor.SizeOf(text));
        frame.CString(text);
        frame.End();
    }

    private void WriteString(byte type, ReadOnlySpan<byte> text)
    {
        var frame = new FrameCursor(output, type, FrameCursor.SizeOf(text));
        frame.CString(text);
        frame.End();
    }

    private void WriteAuthentication(AuthenticationKind kind, ReadOnlySpan<byte> data)
    {
        var frame = new FrameCursor(output, BackendMessage.Authentication, checked(4 + data.Length));
        frame.Int32((int)kind);
        frame.Bytes(data);
        frame.End();
    }
}
