namespace Pooler.IntegrationTests.Harness;

/// <summary>How long the harness waits before it calls something hung. Generous: a busy machine is no defect.</summary>
internal static class Patience
{
    public static readonly TimeSpan Default = TimeSpan.FromSeconds(30);

    public static readonly TimeSpan Long = TimeSpan.FromMinutes(3);
}
