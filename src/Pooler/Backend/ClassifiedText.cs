using Pooler.Sql;

namespace Pooler.Backend;

/// <summary>What the classifier said of a text, by one snapshot of the catalogue: another may say otherwise.</summary>
/// <param name="FollowsClient">It sets what follows the client, so that any server will do.</param>
internal sealed record ClassifiedText(VolatileNames Names, StatementSummary Summary, bool FollowsClient);
