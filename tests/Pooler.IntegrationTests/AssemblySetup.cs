using Pooler.IntegrationTests.Harness;

// One PostgreSQL for all tests of the assembly; each test has a database of its own in it.
[assembly: AssemblyFixture(typeof(PostgresCluster))]

// And one of each version, for the tests that ask for it.
[assembly: AssemblyFixture(typeof(PostgresVersions))]

// The tests read /proc and send signals.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
