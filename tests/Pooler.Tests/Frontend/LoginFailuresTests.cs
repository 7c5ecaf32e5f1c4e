using Microsoft.Extensions.Logging.Abstractions;
using Pooler.Config;
using Pooler.Frontend;
using Pooler.Tests.Config;
using Xunit;

namespace Pooler.Tests.Frontend;

/// <summary>Whose failures delay whom, and how long.</summary>
public sealed class LoginFailuresTests
{
    private const long Second = 1_000_000, Start = 5000 * Second;

    [Fact]
    public void GrowsToItsBoundAndEndsWithTheWindow()
    {
        LoginFailures failures = Of("login_failure_limit = 2\nlogin_failure_delay = 8\nlogin_failure_window = 30\n");
        List<long> delays = [];
        for (int i = 0; i < 9; i++)
        {
            delays.Add(failures.DelayOf("192.0.2.1", "u", Start));
            failures.Failed("192.0.2.1", "u", Start);
        }

        Assert.Equal([0, 0, 0, Second / 2, Second, 2 * Second, 4 * Second, 8 * Second, 8 * Second], delays);
        Assert.Equal(8 * Second, failures.DelayOf("192.0.2.1", "u", Start + (29 * Second)));
        Assert.Equal(0, failures.DelayOf("192.0.2.1", "u", Start + (30 * Second)));
    }

    [Fact]
    public void AreOfAnAddressOfAUserAndOfNobodyElse()
    {
        LoginFailures failures = Of("login_failure_limit = 2\n");
        Fail(failures, "192.0.2.1", "u");
        Assert.True(failures.DelayOf("192.0.2.1", "other", Start) > 0);
        Assert.True(failures.DelayOf("192.0.2.2", "u", Start) > 0);
        Assert.True(failures.DelayOf("", "u", Start) > 0);
        Assert.Equal(0, failures.DelayOf("192.0.2.2", "other", Start));
        Assert.Equal((true, false), (failures.IsSuspect("192.0.2.1", Start), failures.IsSuspect("192.0.2.2", Start)));
    }

    [Fact]
    public void OfAUnixSocketHaveNoAddress()
    {
        LoginFailures failures = Of("login_failure_limit = 2\n");
        Fail(failures, "", "u");
        Assert.Equal(0, failures.DelayOf("", "other", Start));
        Assert.True(failures.DelayOf("", "u", Start) > 0);
        Assert.False(failures.IsSuspect("", Start));
    }

    [Theory]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:2:ffff::7", true)]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:3::1", false)]
    [InlineData("192.0.2.1", "192.0.2.2", false)]
    public void OfIPv6AreOfTheWholeNet(string one, string other, bool same)
    {
        LoginFailures failures = Of("login_failure_limit = 2\n");
        Fail(failures, one, "u");
        Assert.Equal(same, failures.DelayOf(other, "v", Start) > 0);
    }

    [Fact]
    public void WhoHasProvedToBeTheUserAnswersForTheseFailuresOnly()
    {
        LoginFailures failures = Of("login_failure_limit = 2\n");
        failures.Succeeded("192.0.2.1", "u", Start);
        Fail(failures, "192.0.2.9", "u");
        Fail(failures, "192.0.2.1", "other");
        Assert.Equal(0, failures.DelayOf("192.0.2.1", "u", Start));
        Assert.True(failures.DelayOf("192.0.2.2", "u", Start) > 0);
        Fail(failures, "192.0.2.1", "u");
        Assert.True(failures.DelayOf("192.0.2.1", "u", Start) > 0);
    }

    [Fact]
    public void CanBeSwitchedOffAndLeaveTimeToLogIn()
    {
        LoginFailures off = Of("login_failure_limit = 0\n"), hasty = Of("login_failure_limit = 2\nlogin_failure_delay = 100\nclient_login_timeout = 10\n");
        Fail(off, "192.0.2.1", "u");
        Fail(hasty, "192.0.2.1", "u");
        Assert.Equal((0, 5 * Second), (off.DelayOf("192.0.2.1", "u", Start), hasty.DelayOf("192.0.2.1", "u", Start)));
    }

    private static void Fail(LoginFailures failures, string address, string user)
    {
        for (int i = 0; i < 12; i++)
        {
            failures.Failed(address, user, Start);
        }
    }

    private static LoginFailures Of(string settings)
    {
        using var folder = new TempFolder();
        return new LoginFailures(new LiveConfig(folder.LoadRight("[pgbouncer]\n" + settings)), NullLogger.Instance);
    }
}
