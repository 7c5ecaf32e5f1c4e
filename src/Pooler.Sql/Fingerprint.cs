namespace Pooler.Sql;

/// <summary>A hash over the tokens of a text, in which all values are one. A semicolon at the end does not count.</summary>
internal struct Fingerprint
{
    private const ulong Factor = 0x9E3779B97F4A7C15;

    private bool _hasEnd;

    public ulong Value { get; private set; }

    public void Add(in SqlLexer token)
    {
        if (token.Sign == ';')
        {
            _hasEnd = Value != 0;
            return;
        }

        if (_hasEnd)
        {
            _hasEnd = false;
            Mix(';');
        }

        Mix(token.Kind == SqlTokenKind.QuotedName ? ~token.Hash : token.Hash);
    }

    private void Mix(ulong hash)
    {
        ulong value = (ulong.RotateLeft(Value, 23) ^ hash) * Factor;
        Value = value ^ (value >> 29);
    }
}
