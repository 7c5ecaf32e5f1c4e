// The console by PostgreSQL's JDBC driver: java -cp postgresql.jar JdbcConsole.java POOLER-PORT POSTGRES-PORT DATABASE USER PASSWORD
// Prints one line a check, "ok NAME" or "not ok NAME: WHY", and at the end how many there were.

import java.io.PrintWriter;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public final class JdbcConsole {
    private static String port, user, password;
    private static int checks, failed;
    private static final ExecutorService threads = Executors.newCachedThreadPool();

    private interface Check { void run(Connection client) throws Exception; }

    public static void main(String[] arguments) throws Exception {
        port = arguments[0];
        user = arguments[3];
        password = arguments[4];
        String[] all = {"", "preferQueryMode=simple", "prepareThreshold=1", "prepareThreshold=-1", "binaryTransfer=false&prepareThreshold=1", "assumeMinServerVersion=9.0"};
        for (String options : all) {
            check("tables " + options, options, JdbcConsole::tables);
            check("commands and errors " + options, options, JdbcConsole::commands);
            if (!options.contains("simple")) // There the driver asks for all rows.
                check("portions " + options, options, JdbcConsole::portions);
        }
        System.out.println(checks + " checks");
        System.out.flush();
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
    }

    private static void check(String name, String options, Check run) throws Exception {
        checks++;
        name = name.strip();
        try {
            threads.submit(() -> {
                try (Connection client = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + port + "/pgbouncer?" + options, user, password)) {
                    run.run(client);
                }
                return null;
            }).get(20, TimeUnit.SECONDS);
            System.out.println("ok " + name);
        } catch (Exception fault) {
            failed++;
            StringWriter text = new StringWriter();
            fault.printStackTrace(new PrintWriter(text));
            System.out.println("not ok " + name + ": " + text.toString().replace("\n", " | "));
        }
    }

    private static void equal(Object expected, Object seen) {
        if (!Objects.equals(expected, seen))
            throw new AssertionError(seen + ", not " + expected);
    }

    /** From the seventh execution on it is prepared by name and binary, or from the first. */
    private static void tables(Connection client) throws Exception {
        try (PreparedStatement lists = client.prepareStatement("SHOW LISTS"); PreparedStatement totals = client.prepareStatement("SHOW TOTALS");
            PreparedStatement clients = client.prepareStatement("SHOW CLIENTS"); PreparedStatement zones = client.prepareStatement("SHOW DNS_ZONES")) {
            for (int i = 0; i < 8; i++) {
                try (ResultSet rows = lists.executeQuery()) {
                    Map<String, Integer> seen = new LinkedHashMap<>();
                    while (rows.next())
                        seen.put(rows.getString("list"), rows.getInt("items"));
                    equal(14, seen.size());
                    equal(true, seen.get("used_clients") >= 1);
                    equal("int4", rows.getMetaData().getColumnTypeName(2));
                }
                try (ResultSet rows = totals.executeQuery()) {
                    rows.next();
                    equal("total_server_assignment_count", rows.getString(1));
                    rows.next();
                    equal(true, rows.getBigDecimal(2).compareTo(BigDecimal.valueOf(i)) > 0); // total_xact_count
                    equal(true, rows.getLong(2) > i);
                }
                try (ResultSet rows = clients.executeQuery()) {
                    equal(true, rows.next());
                    equal("pgbouncer", rows.getString("database"));
                    equal(0, rows.getInt("close_needed"));
                    equal(false, rows.next());
                }
                zones.executeQuery().close();
            }
        }
        // It asks an empty query, which PgBouncer's console refuses in the simple protocol.
        equal(!client.getMetaData().getURL().contains("simple"), client.isValid(5));
    }

    private static void commands(Connection client) throws Exception {
        for (int i = 0; i < 7; i++) {
            try (Statement statement = client.createStatement()) {
                equal(false, statement.execute("PAUSE app"));
                equal(false, statement.execute("RESUME app"));
                statement.execute("SET extra_float_digits = 3");
                for (String[] wrong : new String[][] {{"RESUME app", "database app is not paused"}, {"SHOW nonsense", "invalid command 'SHOW nonsense', use SHOW HELP;"}}) {
                    try {
                        statement.execute(wrong[0]);
                        throw new AssertionError("no error came");
                    } catch (SQLException error) {
                        equal("08P01", error.getSQLState());
                        equal("ERROR: " + wrong[1], error.getMessage().split("\n")[0]);
                    }
                }
            }
        }
    }

    private static void portions(Connection client) throws Exception {
        try (PreparedStatement statement = client.prepareStatement("SHOW LISTS")) {
            for (int i = 0; i < 7; i++) {
                statement.setMaxRows(i);
                int count = 0;
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next())
                        count++;
                }
                equal(i == 0 ? 14 : i, count);
            }
        }
    }
}
