global using Pooler.IntegrationTests.Harness;
global using Xunit;
