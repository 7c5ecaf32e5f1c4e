// PostgreSQL's JDBC driver: java -cp postgresql.jar Jdbc.java POOLER-PORT POSTGRES-PORT DATABASE USER PASSWORD
// Prints one line a check, "ok NAME" or "not ok NAME: WHY", and at the end how many there were.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.OffsetDateTime;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public final class Jdbc {
    private static String poolerPort, postgresPort, database, user, password;
    private static int checks, failed;
    private static final ExecutorService threads = Executors.newCachedThreadPool();

    private interface Work<T> { T run() throws Exception; }
    private interface Check { void run(Connection[] clients) throws Exception; }

    public static void main(String[] arguments) throws Exception {
        poolerPort = arguments[0];
        postgresPort = arguments[1];
        database = arguments[2];
        user = arguments[3];
        password = arguments[4];

        for (String options : new String[] {"", "binaryTransfer=false", "prepareThreshold=0"})
            check("values are as directly " + options, 3, "prepareThreshold=2&" + options, clients -> valuesAreAsDirectly(clients, options));
        for (String options : new String[] {"prepareThreshold=1", "prepareThreshold=-1", "prepareThreshold=1&preparedStatementCacheQueries=2"})
            check("statements live on every server " + options, 4, options, Jdbc::statementsLive);
        check("transactions, errors and savepoints", 3, "prepareThreshold=1", Jdbc::transactions);
        check("savepoints of the driver's own: autosave=always", 2, "prepareThreshold=1&autosave=always", Jdbc::autosave);
        check("batches, rewritten or not, and what they return", 2, "prepareThreshold=1", Jdbc::batches);
        check("several statements in one string", 2, "", Jdbc::severalStatements);
        check("several statements in one string, the simple protocol", 2, "preferQueryMode=simple", Jdbc::severalStatements);
        check("rows by portions from a portal", 3, "prepareThreshold=1", Jdbc::portions);
        check("COPY in, out and given up", 3, "", Jdbc::copies);
        check("LISTEN and NOTIFY", 3, "", Jdbc::notifications);
        check("a running query is cancelled, and it alone", 3, "", Jdbc::cancels);
        check("large parameters and rows", 2, "prepareThreshold=1", Jdbc::large);
        check("large objects, by function calls", 2, "", Jdbc::largeObjects);
        check("settings of the login and of the session", 1, "ApplicationName=jdbc%20one&options=-c%20statement_timeout=12345", Jdbc::settings);
        check("a temporary table stays with its client", 2, "", Jdbc::temporary);
        check("a crowd shares two servers", 20, "prepareThreshold=1", Jdbc::crowd);
        System.out.println(checks + " checks");
        System.out.flush();
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
    }

    private static Connection connect(String port, String options) throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + port + "/" + database + "?" + options, user, password);
    }

    private static void check(String name, int count, String options, Check run) throws Exception {
        checks++;
        name = name.strip();
        Connection[] clients = new Connection[count];
        try {
            threads.submit(() -> {
                for (int i = 0; i < count; i++)
                    clients[i] = connect(poolerPort, options);
                run.run(clients);
                return null;
            }).get(20, TimeUnit.SECONDS);
            System.out.println("ok " + name);
        } catch (Exception fault) {
            failed++;
            StringWriter text = new StringWriter();
            fault.printStackTrace(new PrintWriter(text));
            System.out.println("not ok " + name + ": " + text.toString().replace("\n", " | "));
            if (fault instanceof TimeoutException)
                Runtime.getRuntime().halt(1);
        } finally {
            for (Connection client : clients)
                if (client != null)
                    client.close();
        }
    }

    private static void equal(Object expected, Object seen) {
        if (!Objects.deepEquals(expected, seen))
            throw new AssertionError(seen + ", not " + expected);
    }

    private static void fails(String sqlState, Work<?> work) throws Exception {
        try {
            work.run();
        } catch (BatchUpdateException fault) {
            equal(sqlState, fault.getNextException() == null ? fault.getSQLState() : fault.getNextException().getSQLState());
            return;
        } catch (SQLException fault) {
            equal(sqlState, fault.getSQLState());
            return;
        }
        throw new AssertionError(sqlState + " did not come");
    }

    private static Object scalar(Connection client, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = client.prepareStatement(sql)) {
            for (int i = 0; i < parameters.length; i++)
                statement.setObject(i + 1, parameters[i]);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getObject(1);
            }
        }
    }

    private static boolean run(Connection client, String sql) throws SQLException {
        try (Statement statement = client.createStatement()) {
            return statement.execute(sql);
        }
    }

    private static void inThreads(int count, IntFunctionOf work) throws Exception {
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int number = i;
            all.add(threads.submit(() -> { work.run(number); return null; }));
        }
        for (Future<?> one : all)
            one.get();
    }

    private interface IntFunctionOf { void run(int number) throws Exception; }

    private static List<Object> row(Connection client, String sql, Object[] parameters) throws SQLException {
        try (PreparedStatement statement = client.prepareStatement(sql)) {
            for (int i = 0; i < parameters.length; i++)
                statement.setObject(i + 1, parameters[i]);
            List<Object> row = new ArrayList<>();
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
                    Object value = rows.getObject(i);
                    row.add(rows.getMetaData().getColumnTypeName(i));
                    row.add(value instanceof byte[] ? Arrays.toString((byte[]) value) : value instanceof SQLXML ? ((SQLXML) value).getString() : Objects.toString(value));
                    if (!(value instanceof byte[]))
                        row.add(rows.getString(i));
                }
            }
            return row;
        }
    }

    private static void valuesAreAsDirectly(Connection[] clients, String options) throws Exception {
        Object[][] values = {
            {"SELECT ?::int4, ?::int8, ?::numeric, ?::float8, ?::bool", 1, 1L << 62, new java.math.BigDecimal("1.50"), 0.1, true},
            {"SELECT ?::text, ?::varchar(3), ?::bytea, ?::uuid", "ä\t€", "abc", new byte[] {0, -1, 10}, new UUID(0, 7)},
            {"SELECT ?::json, ?::jsonb, ?::text", "{\"a\": [1, null]}", "{\"b\": {\"c\": true}}", null},
            {"SELECT ?::int[], ?::text[], ARRAY[1, NULL]", "{1,2}", "{a,\"b\\\"c\"}"},
            {"SELECT ?::timestamptz, ?::timestamp, ?::date, ?::interval", OffsetDateTime.parse("2026-01-02T03:04:05Z"), Timestamp.valueOf("2026-01-02 03:04:05"), java.sql.Date.valueOf("2026-02-03"), "1 day"},
            {"SELECT ?::timestamptz::text, current_setting('TimeZone')", OffsetDateTime.parse("2026-01-02T03:04:05Z")},
            {"SELECT int4range '[1,5)', inet '10.0.0.1/8', 'NaN'::float8, xml '<a/>', point '(1,2)'"},
        };
        try (Connection oracle = connect(postgresPort, "prepareThreshold=2&" + options)) {
            for (Object[] each : values) {
                Object[] parameters = Arrays.copyOfRange(each, 1, each.length);
                for (int i = 0; i < 4; i++) {
                    // From the second time on the driver takes binary values, which it spells in its own way.
                    List<Object> expected = row(oracle, (String) each[0], parameters);
                    for (Connection client : clients)
                        equal(expected, row(client, (String) each[0], parameters));
                }
            }
        }
    }

    private static void statementsLive(Connection[] clients) throws Exception {
        Set<Object> servers = new HashSet<>();
        for (int turn = 0; turn < 12; turn++) {
            clients[turn % 4].setAutoCommit(false);
            for (int i = 0; i < clients.length; i++) {
                equal(turn + Math.max(i, 1), scalar(clients[i], "SELECT ?::int + " + Math.max(i, 1), turn));
                equal(turn % 5 + i, scalar(clients[i], "SELECT " + turn % 5 + " + ?::int", i));
                servers.add(scalar(clients[i], "SELECT pg_backend_pid()"));
            }
            clients[turn % 4].commit();
            clients[turn % 4].setAutoCommit(true);
        }
        equal(2, servers.size());
    }

    private static void transactions(Connection[] clients) throws Exception {
        run(clients[0], "CREATE TABLE jdbc_kept (id int PRIMARY KEY, word text)");
        inThreads(clients.length, number -> {
            Connection client = clients[number];
            client.setAutoCommit(false);
            for (int turn = 0; turn < 10; turn++) {
                int id = 100 * number + turn;
                Work<?> insert = () -> {
                    try (PreparedStatement statement = client.prepareStatement("INSERT INTO jdbc_kept VALUES (?, ?)")) {
                        statement.setInt(1, id);
                        statement.setString(2, "word " + id);
                        return statement.executeUpdate();
                    }
                };
                insert.run();
                Savepoint here = client.setSavepoint("here");
                fails("23505", insert);
                fails("25P02", insert);
                client.rollback(here);
                equal("word " + id, scalar(client, "SELECT word FROM jdbc_kept WHERE id = ?", id));
                if (turn % 2 == 0)
                    client.commit();
                else
                    client.rollback();
            }
            client.setAutoCommit(true);
        });
        equal(15L, scalar(clients[1], "SELECT count(*) FROM jdbc_kept"));
    }

    private static void autosave(Connection[] clients) throws Exception {
        for (Connection client : clients) {
            client.setAutoCommit(false);
            for (int i = 0; i < 5; i++) {
                fails("22012", () -> scalar(client, "SELECT 1 / ?::int", 0));
                equal(1, scalar(client, "SELECT 1 / ?::int", 1));
            }
            client.commit();
        }
    }

    private static void batches(Connection[] clients) throws Exception {
        run(clients[0], "CREATE TABLE jdbc_many (id serial, a int UNIQUE)");
        for (String options : new String[] {"prepareThreshold=1", "reWriteBatchedInserts=true"}) {
            try (Connection client = connect(poolerPort, options); PreparedStatement insert = client.prepareStatement("INSERT INTO jdbc_many (a) VALUES (?)")) {
                for (int round = 0; round < 3; round++) {
                    for (int i = 0; i < 700; i++) {
                        insert.setInt(1, 10_000 * options.length() + 1000 * round + i);
                        insert.addBatch();
                    }
                    equal(700, insert.executeBatch().length);
                }
                insert.setInt(1, -1);
                insert.addBatch();
                insert.setInt(1, -1);
                insert.addBatch();
                fails("23505", insert::executeBatch);
            }
        }
        try (PreparedStatement insert = clients[1].prepareStatement("INSERT INTO jdbc_many (a) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int i = 0; i < 300; i++) {
                insert.setInt(1, -10 - i);
                insert.addBatch();
            }
            insert.executeBatch();
            int keys = 0;
            try (ResultSet rows = insert.getGeneratedKeys()) {
                while (rows.next())
                    keys++;
            }
            equal(300, keys);
        }
        equal(4500L, scalar(clients[0], "SELECT count(*) FROM jdbc_many"));
    }

    private static void severalStatements(Connection[] clients) throws Exception {
        for (Connection client : clients) {
            try (Statement statement = client.createStatement()) {
                equal(true, statement.execute("SELECT 1; SELECT 'two'; SELECT 3"));
                for (String expected : new String[] {"1", "two", "3"}) {
                    statement.getResultSet().next();
                    equal(expected, statement.getResultSet().getString(1));
                    equal(!expected.equals("3"), statement.getMoreResults());
                }
            }
            fails("22012", () -> run(client, "SELECT 1; SELECT 1/0; SELECT 2"));
            equal(5, scalar(client, "SELECT 5"));
        }
    }

    private static void portions(Connection[] clients) throws Exception {
        clients[0].setAutoCommit(false);
        try (PreparedStatement statement = clients[0].prepareStatement("SELECT i FROM generate_series(1, ?) i")) {
            statement.setFetchSize(100);
            statement.setInt(1, 1000);
            for (int round = 0; round < 2; round++) {
                int seen = 0;
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next()) {
                        equal(++seen, rows.getInt(1));
                        if (seen % 100 == 0)
                            equal(1, scalar(clients[1], "SELECT 1"));
                    }
                }
                equal(1000, seen);
                clients[0].commit();
            }
        }
        try (Statement statement = clients[2].createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
             ResultSet rows = statement.executeQuery("SELECT generate_series(1, 100)")) {
            rows.absolute(50);
            equal(50, rows.getInt(1));
        }
    }

    private static void copies(Connection[] clients) throws Exception {
        run(clients[0], "CREATE TABLE jdbc_copied (id int, word text)");
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 20_000; i++)
            lines.append(i).append("\tword ").append(i).append('\n');
        byte[] bytes = lines.toString().getBytes(StandardCharsets.UTF_8);
        CopyManager one = clients[0].unwrap(PGConnection.class).getCopyAPI(), two = clients[1].unwrap(PGConnection.class).getCopyAPI();
        equal(20_000L, one.copyIn("COPY jdbc_copied FROM STDIN", new ByteArrayInputStream(bytes)));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        equal(20_000L, two.copyOut("COPY (SELECT * FROM jdbc_copied ORDER BY id) TO STDOUT", out));
        equal(true, Arrays.equals(bytes, out.toByteArray()));
        fails("22P02", () -> two.copyIn("COPY jdbc_copied FROM STDIN", new ByteArrayInputStream("1\tone\nno number\tx\n".getBytes())));
        var given = one.copyIn("COPY jdbc_copied FROM STDIN");
        given.writeToCopy(bytes, 0, 100);
        given.cancelCopy();
        for (Connection client : clients)
            equal(20_000L, scalar(client, "SELECT count(*) FROM jdbc_copied"));
    }

    private static void notifications(Connection[] clients) throws Exception {
        run(clients[0], "LISTEN jdbc_news");
        for (int i = 0; i < 10; i++) {
            scalar(clients[1], "SELECT pg_notify('jdbc_news', ?)::text", "number " + i);
            equal(scalar(clients[1], "SELECT pg_backend_pid()"), scalar(clients[2], "SELECT pg_backend_pid()"));
        }
        List<String> heard = new ArrayList<>();
        while (heard.size() < 10)
            for (var notification : clients[0].unwrap(PGConnection.class).getNotifications(10_000))
                heard.add(notification.getName() + " " + notification.getParameter());
        equal(IntStream.range(0, 10).mapToObj(i -> "jdbc_news number " + i).toList(), heard);
        run(clients[0], "UNLISTEN *");
    }

    private static void cancels(Connection[] clients) throws Exception {
        Future<Object> undisturbed = threads.submit(() -> scalar(clients[1], "SELECT 'done' FROM pg_sleep(0.5)"));
        try (Statement victim = clients[0].createStatement(); Connection past = connect(postgresPort, "")) {
            Future<?> stopped = threads.submit(() -> { fails("57014", () -> victim.execute("SELECT pg_sleep(60) /* jdbc is to stop it */")); return null; });
            while (!(boolean) scalar(past, "SELECT coalesce(bool_or(query LIKE '%jdbc is to stop it %'), false) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"))
                Thread.sleep(10);
            victim.cancel();
            stopped.get();
            equal("done", undisturbed.get());
            // The time limit of the driver cancels too.
            victim.setQueryTimeout(1);
            fails("57014", () -> victim.execute("SELECT pg_sleep(60)"));
        }
        for (Connection client : clients)
            equal(8, scalar(client, "SELECT 8"));
    }

    private static void large(Connection[] clients) throws Exception {
        byte[] large = new byte[5_000_000];
        new Random(1).nextBytes(large);
        for (Connection client : clients) {
            for (int i = 0; i < 2; i++)
                equal(true, Arrays.equals(large, (byte[]) scalar(client, "SELECT ?::bytea", (Object) large)));
            try (Statement statement = client.createStatement(); ResultSet rows = statement.executeQuery("SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")) {
                int seen = 0;
                while (rows.next())
                    equal(++seen, rows.getInt(1));
                equal(20_000, seen);
            }
        }
    }

    private static void largeObjects(Connection[] clients) throws Exception {
        byte[] content = new byte[300_000];
        new Random(2).nextBytes(content);
        for (Connection client : clients)
            client.setAutoCommit(false);
        var manager = clients[0].unwrap(PGConnection.class).getLargeObjectAPI();
        long id = manager.createLO();
        var object = manager.open(id);
        object.write(content);
        object.close();
        clients[0].commit();
        var read = clients[1].unwrap(PGConnection.class).getLargeObjectAPI().open(id);
        equal(true, Arrays.equals(content, read.read(content.length)));
        read.close();
        clients[1].commit();
    }

    private static void settings(Connection[] clients) throws Exception {
        TimeZone before = TimeZone.getDefault();
        Object zone = scalar(clients[0], "SHOW TimeZone");
        TimeZone.setDefault(TimeZone.getTimeZone("Asia/Tokyo"));
        try (Connection tokyo = connect(poolerPort, "ApplicationName=jdbc%20two"); Connection third = connect(poolerPort, "currentSchema=pg_catalog")) {
            for (int turn = 0; turn < 4; turn++) {
                if (turn == 2)
                    run(tokyo, "SET TimeZone TO 'America/New_York'");
                third.setAutoCommit(false);
                equal("pg_catalog", scalar(third, "SHOW search_path"));
                String ask = "SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'), current_setting('extra_float_digits'))";
                equal("jdbc one 12345ms 3", scalar(clients[0], ask));
                equal("jdbc two 0 3", scalar(tokyo, ask));
                equal(turn < 2 ? "Asia/Tokyo" : "America/New_York", scalar(tokyo, "SHOW TimeZone"));
                equal(zone, scalar(clients[0], "SHOW TimeZone"));
                third.commit();
            }
            tokyo.setReadOnly(true);
            tokyo.setAutoCommit(false);
            fails("25006", () -> run(tokyo, "CREATE TABLE never (a int)"));
            tokyo.rollback();
            tokyo.setReadOnly(false);
        } finally {
            TimeZone.setDefault(before);
        }
    }

    private static void temporary(Connection[] clients) throws Exception {
        run(clients[0], "CREATE TEMP TABLE jdbc_mine AS SELECT 1 AS a");
        fails("42P01", () -> scalar(clients[1], "SELECT a FROM jdbc_mine"));
        equal(1, scalar(clients[0], "SELECT a FROM jdbc_mine"));
    }

    private static void crowd(Connection[] clients) throws Exception {
        Set<Object> servers = ConcurrentHashMap.newKeySet();
        run(clients[0], "CREATE TABLE jdbc_crowd (id int PRIMARY KEY)");
        inThreads(clients.length, number -> {
            Connection client = clients[number];
            client.setAutoCommit(false);
            for (int turn = 0; turn < 20; turn++) {
                int id = 100 * number + turn;
                equal(id, scalar(client, "INSERT INTO jdbc_crowd VALUES (?) RETURNING id", id));
                servers.add(scalar(client, "SELECT pg_backend_pid()"));
                equal(id, scalar(client, "SELECT id FROM jdbc_crowd WHERE id = ? AND xmin = pg_current_xact_id()::xid", id));
                if (turn % 5 == 0)
                    client.rollback();
                else
                    client.commit();
            }
            client.setAutoCommit(true);
        });
        equal(320L, scalar(clients[1], "SELECT count(*) FROM jdbc_crowd"));
        equal(2, servers.size());
    }
}
