// postgres.js: it prepares what it is asked, and sends requests behind one another without waiting for answers.
import postgres from 'postgres';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { assert, check, direct, eventually, failure, pooled, range, runAll } from './checks.js';

async function withSql(options, run) {
  const { user: username, ...where } = pooled;
  const sql = postgres({ ...where, username, max: 4, onnotice: () => {}, ...options });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}
async function withDirect(options, run) {
  return withSql({ port: direct.port, max: 1, ...options }, run);
}
/** So many connections of one connection each: who sends what is then certain. */
const withClients = (count, options, run, clients = []) => count === 0
  ? run(...clients)
  : withSql({ max: 1, ...options }, sql => withClients(count - 1, options, run, [...clients, sql]));
const shape = result => (result.columns ?? []).map(({ name, type, table, number }) => ({ name, type, table, number }));
const server = async sql => (await sql`SELECT pg_backend_pid() AS pid`)[0].pid;

const values = [
  sql => sql`SELECT ${1}::int4 AS a, ${'9007199254740993'}::int8 AS b, ${'1.50'}::numeric AS c, ${0.1}::float8 AS d, ${true}::bool AS e`,
  sql => sql`SELECT ${'ä\t€😀'}::text AS a, ${Buffer.from([0, 255, 10])}::bytea AS b, ${null}::text AS c`,
  sql => sql`SELECT ${sql.json({ a: [1, null, 'x'] })}::json AS a, ${sql.json({ b: { c: true } })}::jsonb AS b`,
  sql => sql`SELECT ${[1, 2, 3]}::int[] AS a, ${['a', 'b"c', '{}']}::text[] AS b`,
  sql => sql`SELECT ${new Date(1e12)}::timestamptz AS a, ${new Date(1e12)}::timestamptz::text AS b, ${'2026-02-03'}::date AS c`,
  sql => sql`SELECT * FROM (VALUES (1, 'x'), (2, null)) v (id, word) WHERE id IN ${sql([1, 2])}`,
  sql => sql`SELECT 1 AS a`.values(),
  sql => sql`SELECT 1 AS a; SELECT 'two' AS b`.simple(),
  sql => sql.unsafe('SELECT $1::int AS a', [5], { prepare: true }),
  sql => sql.unsafe("SELECT int4range '[1,5)' AS a, inet '10.0.0.1/8' AS b, 'NaN'::float8 AS c"),
  sql => sql`SELECT ${1}::int AS a, ${'x'}::text AS b`.describe().then(({ types, columns }) => ({ types, columns })),
];
for (const [name, options] of [['', {}], ['in Tokyo', { connection: { TimeZone: 'Asia/Tokyo' } }], ['without preparing', { prepare: false }]]) {
  check(`values are as directly ${name}`.trimEnd(), () => withDirect(options, oracle => withSql(options, async sql => {
    for (const ask of values) {
      const expected = await ask(oracle);
      for (const seen of await Promise.all(range(8).map(() => ask(sql)))) {
        assert.deepEqual(seen, expected);
        assert.deepEqual(shape(seen), shape(expected));
      }
    }
  })));
}

check('statements live through transactions, errors and savepoints', () => withSql({}, async sql => {
  await sql`CREATE TABLE js_kept (id int PRIMARY KEY, word text)`;
  await Promise.all(range(40).map(async id => {
    const work = sql.begin(async sql => {
      await sql`INSERT INTO js_kept VALUES (${id}, ${`word ${id}`})`;
      const code = (await failure(sql.savepoint(sql => sql`INSERT INTO js_kept VALUES (${id}, 'twice')`))).code;
      assert.equal(code, '23505');
      const [{ word }] = await sql`SELECT word FROM js_kept WHERE id = ${id}`;
      assert.equal(word, `word ${id}`);
      if (id % 2) await sql`SELECT 1 / ${0}::int`;
    });
    if (id % 2) assert.equal((await failure(work)).code, '22012');
    else await work;
  }));
  assert.deepEqual((await sql`SELECT id FROM js_kept ORDER BY id`).map(row => row.id), range(20).map(i => 2 * i));
}));

check('requests behind one another, an error among them', () => withClients(3, {}, async (...clients) => {
  for (let round = 0; round < 5; round++) {
    await Promise.all(clients.map(async (sql, which) => {
      const answers = await Promise.allSettled(range(60).map(i => sql`SELECT 100 / ${i % 20}::int AS part, ${which}::int AS which`));
      answers.forEach((answer, i) => {
        if (i % 20 === 0) assert.equal(answer.reason?.code, '22012');
        else assert.deepEqual({ ...answer.value[0] }, { part: Math.trunc(100 / (i % 20)), which });
      });
    }));
  }
}));

check('a transaction sent at once', () => withSql({}, async sql => {
  await sql`CREATE TABLE js_batch (id int)`;
  await Promise.all(range(20).map(i => sql.begin(sql => range(10).map(j => sql`INSERT INTO js_batch VALUES (${10 * i + j})`))));
  assert.deepEqual((await sql`SELECT id FROM js_batch ORDER BY id`).map(row => row.id), range(200));
}));

check('cursors and rows one by one', () => withSql({ max: 2 }, async sql => {
  await Promise.all(range(3).map(async () => {
    let seen = 0;
    for await (const rows of sql`SELECT i FROM generate_series(1, ${1000}::int) i`.cursor(100)) {
      assert.equal(rows.length, 100);
      for (const row of rows) assert.equal(row.i, ++seen);
    }

    assert.equal(seen, 1000);
  }));
  // Left in the middle.
  for await (const rows of sql`SELECT i FROM generate_series(1, 1000) i`.cursor(10)) if (rows[0].i > 50) break;
  let rows = 0;
  await sql`SELECT generate_series(1, 5000)`.forEach(() => rows++);
  assert.equal(rows, 5000);
  assert.equal((await sql`SELECT 5 AS a`)[0].a, 5);
}));

check('COPY in, out and given up', () => withSql({}, async sql => {
  await sql`CREATE TABLE js_copied (id int, word text)`;
  const lines = range(20_000).map(i => `${i}\tword ${i}\n`);
  await pipeline(Readable.from(lines), await sql`COPY js_copied FROM STDIN`.writable());
  // More than its stream keeps may leave the driver waiting, directly too.
  const parts = [];
  for await (const part of await sql`COPY (SELECT * FROM js_copied WHERE id < 500 ORDER BY id) TO STDOUT`.readable()) parts.push(part);
  assert.equal(Buffer.concat(parts).toString(), lines.slice(0, 500).join(''));
  // A row that PostgreSQL refuses would leave the driver waiting, directly too: it is the client that gives up.
  const given = await sql`COPY js_copied FROM STDIN`.writable();
  given.write('1\tone\n');
  const told = new Promise(resolve => given.on('error', resolve));
  given.destroy(new Error('enough'));
  assert.equal((await told).message, 'enough');
  assert.equal((await sql`SELECT count(*)::int FROM js_copied`)[0].count, 20_000);
}));

check('LISTEN and NOTIFY', () => withSql({}, async sql => {
  const heard = [];
  const { unlisten } = await sql.listen('js_news', payload => heard.push(payload));
  for (const i of range(10)) await sql.notify('js_news', `number ${i}`);
  await eventually(() => heard.length >= 10);
  assert.deepEqual(heard, range(10).map(i => `number ${i}`));
  assert.equal(new Set(await Promise.all(range(8).map(() => server(sql)))).size, 1);
  await unlisten();
}));

check('a running query is cancelled, and it alone', () => withDirect({}, past => withClients(3, {}, async (victim, other, watcher) => {
  const undisturbed = other`SELECT 'done' AS word FROM pg_sleep(0.5)`.execute();
  const query = victim`SELECT pg_sleep(60) /* postgres.js is to stop it */`.execute();
  const stopped = failure(query);
  await eventually(async () => (await past`SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%js is to stop it %' AND pid <> pg_backend_pid()`).length > 0);
  query.cancel();
  assert.equal((await stopped).code, '57014');
  assert.equal((await undisturbed)[0].word, 'done');
  for (const sql of [victim, watcher]) assert.equal((await sql`SELECT 8 AS a`)[0].a, 8);
})));

check('large parameters and rows', () => withSql({ max: 2 }, async sql => {
  const large = Buffer.alloc(5_000_000, 'pooler ');
  await Promise.all(range(3).map(async () => {
    assert.ok(large.equals((await sql`SELECT ${large}::bytea AS a`)[0].a));
    assert.equal((await sql`SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i`).length, 20_000);
  }));
}));

check('settings of the login', () => withClients(1, { connection: { TimeZone: 'Asia/Tokyo', application_name: 'js one', statement_timeout: 12345 } }, one =>
  withClients(2, { connection: { application_name: 'js two' } }, async (two, three) => {
    const settings = sql => sql`SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS timeout, current_setting('TimeZone') AS zone`;
    const [{ zone }] = await settings(two);
    for (let round = 0; round < 4; round++) {
      await three.begin(async () => {
        assert.deepEqual({ ...(await settings(one))[0] }, { name: 'js one', timeout: '12345ms', zone: 'Asia/Tokyo' });
        assert.deepEqual({ ...(await settings(two))[0] }, { name: 'js two', timeout: '0', zone });
      });
    }
  })));

check('a reserved connection keeps its temporary table', () => withSql({}, async sql => {
  const reserved = await sql.reserve();
  await reserved`CREATE TEMP TABLE js_mine AS SELECT 1 AS a`;
  assert.equal((await failure(sql`SELECT * FROM js_mine`)).code, '42P01');
  assert.equal((await reserved`SELECT a FROM js_mine`)[0].a, 1);
  await reserved`DROP TABLE js_mine`;
  reserved.release();
}));

check('a crowd shares two servers', () => withSql({ max: 25 }, async sql => {
  const servers = new Set();
  await sql`CREATE TABLE js_crowd (id int PRIMARY KEY)`;
  await Promise.all(range(400).map(id => sql.begin(async sql => {
    await sql`INSERT INTO js_crowd VALUES (${id})`;
    servers.add(await server(sql));
    assert.equal((await sql`SELECT id FROM js_crowd WHERE id = ${id} AND xmin = pg_current_xact_id()::xid`).length, 1);
  })));
  assert.equal((await sql`SELECT count(*)::int FROM js_crowd`)[0].count, 400);
  assert.equal(servers.size, 2);
}));

await runAll();
