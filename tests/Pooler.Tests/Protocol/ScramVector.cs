using Pooler.Protocol;

namespace Pooler.Tests.Protocol;

/// <summary>The exchange of RFC 7677 section 3: user "user", password "pencil".</summary>
internal static class ScramVector
{
    public const string ClientNonce = "rOprNGfwEbeRWgbNEkqO";
    public const string ServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    public const string ClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    public const string ServerFirst = "r=rOprNGfwEbeRWgbNEkqO" + ServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    public const string FinalWithoutProof = "c=biws,r=rOprNGfwEbeRWgbNEkqO" + ServerNonce;
    public const string Proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    public const string ServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    public static readonly byte[] RfcSalt = Convert.FromBase64String("W22ZaJ0SNY7soEsUEjb6gQ==");
    public static readonly ScramKeys RfcKeys = ScramKeys.Derive("pencil"u8, RfcSalt, 4096);
    public static readonly ScramVerifier RfcVerifier = RfcKeys.ToVerifier(RfcSalt, 4096);
}
