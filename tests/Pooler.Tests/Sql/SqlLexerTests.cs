using System.Text;
using CsCheck;
using Pooler.Sql;
using Xunit;

namespace Pooler.Tests.Sql;

/// <summary>The scanner: tokens as PostgreSQL's, and no text that leads it astray.</summary>
public sealed class SqlLexerTests
{
    private static readonly Gen<byte[]> AnyBytes = Gen.Byte.Array[0, 60];

    // Of these PostgreSQL's rules are made: chance meets them more often than in any bytes.
    private static readonly string[] Pieces =
    [
        "'", "''", "\"", "$", "$$", "$a$", "$1", "\\", "\\'", "E'", "e'", "b'", "X'", "N'", "U&'", "u&\"", "--", "/*", "*/", "*", "/", "-", "+", "\n", "\r", " ", "\t",
        ";", "(", ")", ".", "..", ":", "::", ":=", ",", "1", "0x", "1e", "5", "a", "E", "select", "é", "\0", "@", "=", "<", "_", "uescape",
    ];

    private static readonly Gen<byte[]> AnyPieces =
        Gen.Int[0, Pieces.Length - 1].Array[0, 24].Select(static parts => Encoding.UTF8.GetBytes(string.Concat(parts.Select(static i => Pieces[i]))));

    [Theory]
    [InlineData("select a1_$, _b é", "n:select n:a1_$ s:, n:_b n:é")]
    [InlineData("'a''b' 'c'\n'd' 'e' 'f'", "l:a''b l:c'\n'd l:e l:f")]
    [InlineData("'a' -- x\n -- y\n\t'b' -- z", "l:a' -- x\n -- y\n\t'b")]
    [InlineData("'a' /* x */\n'b'", "l:a l:b")]
    [InlineData("E'a\\'b\\\\' e'\\''", "l:a\\'b\\\\ l:\\'")]
    [InlineData("E'a'\n'b\\'c'", "l:a'\n'b\\'c")]
    [InlineData("e 'a' foo_e'b\\'", "n:e l:a n:foo_e l:b\\")]
    [InlineData("b'01' X'1f''2' n'a'", "l:b'01' l:X'1f' l:2 l:a")]
    [InlineData("U&'a' u&\"b\" u&b U & 'c'", "l:a e:b n:u o:& n:b n:U o:& l:c")]
    [InlineData("$$a$b$$ $q$a$$ $p$ $q$ $1 $12", "l:a$b l:a$$ $p$  p:$1 p:$12")]
    [InlineData("a$$b$$ $1$x$y$x$", "n:a$$b$$ p:$1 l:y")]
    [InlineData("1$$a$$", "d:1 l:a")]
    [InlineData("\"a\"\"b\" \"c;--\"", "q:a\"\"b q:c;--")]
    [InlineData("/* a /* b */ c */ 1 /**/ 2 /***/ 3 /*/ x /*/ */ */ 4", "d:1 d:2 d:3 d:4")]
    [InlineData("1 -- x\r2 --\n3", "d:1 d:2 d:3")]
    [InlineData("1.5 .5 1. 1e10 1.5E-3 .5e+1 1e a.5", "d:1.5 d:.5 d:1. d:1e10 d:1.5E-3 d:.5e+1 d:1 n:e n:a d:.5")]
    [InlineData("1..2 a..b 0x1F 0b01 0o17 0xg 1_000", "d:1 s:.. d:2 n:a s:.. n:b d:0x1F d:0b01 d:0o17 d:0 n:xg d:1_000")]
    [InlineData("a::b c:=d e:f g[1:2]", "n:a s::: n:b n:c s::= n:d n:e s:: n:f n:g s:[ d:1 s:: d:2 s:]")]
    [InlineData("a<=b!=c<>d>=-1", "n:a o:<= n:b o:!= n:c o:<> n:d o:>= o:- d:1")]
    [InlineData("1*-2 1-+-2 a@-b a<--b\n1", "d:1 o:* o:- d:2 d:1 o:- o:+ o:- d:2 n:a o:@- n:b n:a o:< d:1")]
    [InlineData("a+/*x*/b a*/b a->>'c' a-/**/-b", "n:a o:+ n:b n:a o:*/ n:b n:a o:->> l:c n:a o:- o:- n:b")]
    [InlineData("a#-b |/4 ||/8 @>", "n:a o:#- n:b o:|/ d:4 o:||/ d:8 o:@>")]
    [InlineData("a\v\fb {", "n:a n:b s:{")]
    [InlineData("'a", "u:'a")]
    [InlineData("1 \"a", "d:1 u:\"a")]
    [InlineData("1 /* /* */", "d:1 u:")]
    [InlineData("$a$ $a b", "u:$a$ $a b")]
    [InlineData("E'a\\", "u:E'a\\")]
    [InlineData("a\0b", "n:a")]
    [InlineData("$", "s:$")]
    [InlineData("$a b", "s:$ n:a n:b")]
    public void ReadsTokens(string text, string expected) => Assert.Equal(expected, Tell(Encoding.UTF8.GetBytes(text), true));

    [Theory]
    [InlineData("'a\\'b' 'c\\\\'", "l:a\\'b l:c\\\\")]
    [InlineData("N'a\\'b' x'\\'", "l:a\\'b l:x'\\'")]
    [InlineData("\"a\\\" $$\\$$", "q:a\\ l:\\")]
    [InlineData("U&'a'", "u:U&'a'")]
    [InlineData("U&\"a\"", "e:a")]
    public void ReadsTokensWithBackslashes(string text, string expected) => Assert.Equal(expected, Tell(Encoding.UTF8.GetBytes(text), false));

    [Fact]
    public void AnyBytesAreReadToTheirEnd() => AnyBytes.Sample(Holds, iter: 20_000);

    [Fact]
    public void AnyPiecesAreReadToTheirEnd() => AnyPieces.Sample(Holds, iter: 50_000);

    /// <summary>Wherever a text is cut: what stood before the token that was cut is as it was.</summary>
    [Fact]
    public void ACutTextIsReadAsFarAsItGoes()
    {
        foreach (CorpusStatement statement in CorpusStatement.Read())
        {
            byte[] text = statement.Bytes;
            for (int length = 0; length < text.Length; length++)
            {
                Holds(text[..length]);
                var whole = new SqlLexer(text, true);
                var cut = new SqlLexer(text.AsSpan(0, length), true);
                while (whole.Next() && whole.End < length)
                {
                    // A string may go on behind what follows it: the cut one ends there too, or earlier.
                    Assert.True(cut.Next());
                    Assert.Equal((whole.Kind, whole.Start), (cut.Kind, cut.Start));
                    Assert.True(whole.End == cut.End || whole.Kind == SqlTokenKind.Operator);
                    if (whole.End != cut.End)
                    {
                        break;
                    }
                }
            }
        }
    }

    /// <summary>Tokens follow one another, only blanks and comments lie between, and the classifier takes any of it.</summary>
    private static void Holds(byte[] text)
    {
        foreach (bool isConforming in (bool[])[true, false])
        {
            var lexer = new SqlLexer(text, isConforming);
            int end = 0, zero = Array.IndexOf(text, (byte)0), limit = zero < 0 ? text.Length : zero;
            while (lexer.Next())
            {
                Assert.InRange(lexer.Start, end, limit);
                Assert.InRange(lexer.End, Math.Min(lexer.Start + 1, limit), limit);
                end = lexer.End;
            }

            Assert.Equal(limit, lexer.End);
            Assert.False(lexer.Next());
            StatementClassifier.Classify(text, new ClassifierContext(VolatileNames.Unknown, isConforming));
        }
    }

    private static string Tell(byte[] text, bool isConforming)
    {
        List<string> tokens = [];
        var lexer = new SqlLexer(text, isConforming);
        while (lexer.Next())
        {
            char kind = lexer.Kind switch
            {
                SqlTokenKind.Name => 'n',
                SqlTokenKind.QuotedName => 'q',
                SqlTokenKind.EncodedName => 'e',
                SqlTokenKind.Literal => 'l',
                SqlTokenKind.Number => 'd',
                SqlTokenKind.Parameter => 'p',
                SqlTokenKind.Operator => 'o',
                SqlTokenKind.Symbol => 's',
                _ => 'u',
            };
            tokens.Add($"{kind}:{Encoding.UTF8.GetString(lexer.Text)}");
        }

        return string.Join(' ', tokens);
    }
}
