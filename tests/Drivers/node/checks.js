// What the programs of this folder share. Each is run as: node PROGRAM POOLER-PORT POSTGRES-PORT DATABASE USER PASSWORD
// and prints one line a check, "ok NAME" or "not ok NAME: WHY", and at the end how many there were.
import assert from 'node:assert/strict';

const [poolerPort, postgresPort, database, user, password] = process.argv.slice(2);
const checks = [];

class Hung extends Error {}

export { assert };

/** Options of a connection through the pooler, and of one past it. */
export const pooled = { host: '127.0.0.1', port: Number(poolerPort), database, user, password };
export const direct = { ...pooled, port: Number(postgresPort) };

export const check = (name, run) => checks.push([name, run]);

export async function runAll() {
  let failed = 0;
  for (const [name, run] of checks) {
    try {
      await within(20_000, run());
      console.log(`ok ${name}`);
    } catch (fault) {
      failed++;
      console.log(`not ok ${name}: ${String(fault.stack ?? fault).replaceAll('\n', ' | ')}`);
      // Its connections may still hold what the others need.
      if (fault instanceof Hung) break;
    }
  }

  console.log(`${checks.length} checks`);
  process.exit(failed === 0 ? 0 : 1);
}

/** What a promise fails with; that it fails at all is asserted. */
export async function failure(promise) {
  try {
    await promise;
  } catch (fault) {
    return fault;
  }

  assert.fail('it did not fail');
}

/** Looks again until what is looked for is there. */
export async function eventually(look) {
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

export const range = count => Array.from({ length: count }, (_, i) => i);

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Hung(`not done within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
