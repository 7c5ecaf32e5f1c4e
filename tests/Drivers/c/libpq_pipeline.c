/*
 * Pipeline mode of libpq, by libpq itself: libpq_pipeline POOLER-PORT POSTGRES-PORT DATABASE USER PASSWORD
 * Prints one line a check, "ok NAME" or "not ok NAME: WHY", and at the end how many there were. All clients of a check are
 * served by one thread, so several pipelines are under way at once.
 */
#include <libpq-fe.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLIENTS = 4, LENGTH = 100 };

static const char *port, *past_port, *database, *user, *password;
static PGconn *clients[CLIENTS];
static jmp_buf failed;
static char why[1000];
static const char *running;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    for (char *at = why; *at; at++)
        if (*at == '\n') *at = ' ';
    longjmp(failed, 1);
}

#define ASSERT(good) ((good) ? (void)0 : fail("line %d: %s; %s", __LINE__, #good, PQerrorMessage(clients[0])))

static PGconn *connect_to(const char *to, const char *options) {
    const char *names[] = {"host", "port", "dbname", "user", "password", "options", NULL};
    const char *values[] = {"127.0.0.1", to, database, user, password, options, NULL};
    PGconn *client = PQconnectdbParams(names, values, 0);
    if (PQstatus(client) != CONNECTION_OK)
        fail("%s", PQerrorMessage(client));
    return client;
}

/* The next result; with none, the NULL that parts the results of two queries. */
static PGresult *next(PGconn *client, ExecStatusType expected) {
    PGresult *result = PQgetResult(client);
    if (!result || PQresultStatus(result) != expected)
        fail("%s came, not %s: %s", result ? PQresStatus(PQresultStatus(result)) : "NULL", PQresStatus(expected), PQerrorMessage(client));
    return result;
}

static void drop(PGconn *client, ExecStatusType expected, const char *sqlstate) {
    PGresult *result = next(client, expected);
    if (sqlstate && strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), sqlstate) != 0)
        fail("%s, not %s", PQresultErrorMessage(result), sqlstate);
    PQclear(result);
}

static void parted(PGconn *client) {
    PGresult *result = PQgetResult(client);
    if (result)
        fail("another result: %s", PQresStatus(PQresultStatus(result)));
}

/* One row of one value, and the end of its query. */
static void value(PGconn *client, const char *expected) {
    PGresult *result = next(client, PGRES_TUPLES_OK);
    if (PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), expected) != 0)
        fail("%d rows, the first %s, not %s", PQntuples(result), PQntuples(result) ? PQgetvalue(result, 0, 0) : "-", expected);
    PQclear(result);
    parted(client);
}

static const char *number(int i) {
    static char texts[4][20];
    static int turn;
    char *text = texts[turn++ % 4];
    snprintf(text, sizeof texts[0], "%d", i);
    return text;
}

static void ask(PGconn *client, const char *text, int parameter) {
    const char *values[] = {number(parameter)};
    ASSERT(PQsendQueryParams(client, text, 1, NULL, values, NULL, NULL, 0));
}

static void use(PGconn *client, const char *name, int parameter) {
    const char *values[] = {number(parameter)};
    ASSERT(PQsendQueryPrepared(client, name, 1, values, NULL, NULL, 0));
}

static void run(PGconn *client, const char *sql) {
    PGresult *result = PQexec(client, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail("%s: %s", sql, PQerrorMessage(client));
    PQclear(result);
}

/* Each client has its own meaning of the same name, and a long row of uses. */
static void many_in_one(void) {
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            char text[100];
            snprintf(text, sizeof text, "SELECT $1::int + %d", 1000 * i);
            ASSERT(PQenterPipelineMode(clients[i]));
            if (round == 0)
                ASSERT(PQsendPrepare(clients[i], "sum", text, 0, NULL));
            for (int j = 0; j < LENGTH; j++)
                use(clients[i], "sum", j);
            ASSERT(PQpipelineSync(clients[i]));
        }
        for (int i = 0; i < CLIENTS; i++) {
            if (round == 0) {
                drop(clients[i], PGRES_COMMAND_OK, NULL);
                parted(clients[i]);
            }
            for (int j = 0; j < LENGTH; j++)
                value(clients[i], number(1000 * i + j));
            drop(clients[i], PGRES_PIPELINE_SYNC, NULL);
            ASSERT(PQexitPipelineMode(clients[i]));
        }
    }
}

/* An error skips to the next synchronisation point and not further, and undoes what came before it. */
static void errors_between_syncs(void) {
    run(clients[0], "CREATE TABLE pipe_kept (id int)");
    for (int i = 0; i < CLIENTS; i++) {
        ASSERT(PQenterPipelineMode(clients[i]));
        for (int part = 0; part < 6; part++) {
            ask(clients[i], "INSERT INTO pipe_kept VALUES ($1::int)", 10 * i + part);
            ask(clients[i], "SELECT 10 / $1::int", part % 2);
            ask(clients[i], "SELECT $1::int", part);
            ASSERT(PQpipelineSync(clients[i]));
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        for (int part = 0; part < 6; part++) {
            drop(clients[i], PGRES_COMMAND_OK, NULL);
            parted(clients[i]);
            if (part % 2) {
                value(clients[i], "10");
                value(clients[i], number(part));
            } else {
                drop(clients[i], PGRES_FATAL_ERROR, "22012");
                parted(clients[i]);
                drop(clients[i], PGRES_PIPELINE_ABORTED, NULL);
                parted(clients[i]);
            }
            drop(clients[i], PGRES_PIPELINE_SYNC, NULL);
        }
        ASSERT(PQexitPipelineMode(clients[i]));
    }
    PGresult *kept = PQexec(clients[1], "SELECT count(*) FROM pipe_kept");
    ASSERT(strcmp(PQgetvalue(kept, 0, 0), "12") == 0);
    PQclear(kept);
}

/* Answers are asked for by Flush, the batch stays open, and its server with it. */
static void flush_without_sync(void) {
    PGconn *client = clients[0];
    ASSERT(PQenterPipelineMode(client));
    for (int i = 0; i < 20; i++) {
        ask(client, "SELECT $1::int", i);
        ASSERT(PQsendFlushRequest(client));
        ASSERT(PQflush(client) == 0);
        value(client, number(i));
        run(clients[1], "SELECT 1");
    }
    ASSERT(PQpipelineSync(client));
    drop(client, PGRES_PIPELINE_SYNC, NULL);
    ASSERT(PQexitPipelineMode(client));
}

static void transactions_in_a_pipeline(void) {
    run(clients[0], "CREATE TABLE pipe_many (id int PRIMARY KEY)");
    for (int i = 0; i < CLIENTS; i++) {
        PGconn *client = clients[i];
        ASSERT(PQenterPipelineMode(client));
        ASSERT(PQsendQueryParams(client, "BEGIN", 0, NULL, NULL, NULL, NULL, 0));
        ASSERT(PQsendPrepare(client, "insert", "INSERT INTO pipe_many VALUES ($1)", 0, NULL));
        for (int j = 0; j < LENGTH; j++)
            use(client, "insert", LENGTH * i + j);
        ASSERT(PQsendQueryParams(client, "SAVEPOINT here", 0, NULL, NULL, NULL, NULL, 0));
        ASSERT(PQpipelineSync(client));
        use(client, "insert", LENGTH * i);
        ASSERT(PQpipelineSync(client));
        ASSERT(PQsendQueryParams(client, "ROLLBACK TO here", 0, NULL, NULL, NULL, NULL, 0));
        ASSERT(PQsendQueryParams(client, i % 2 ? "ROLLBACK" : "COMMIT", 0, NULL, NULL, NULL, NULL, 0));
        ASSERT(PQpipelineSync(client));
        /* Two transactions hold both servers: the others wait for them. */
        ASSERT(PQflush(client) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        PGconn *client = clients[i];
        for (int j = 0; j < LENGTH + 3; j++) {
            drop(client, PGRES_COMMAND_OK, NULL);
            parted(client);
        }
        drop(client, PGRES_PIPELINE_SYNC, NULL);
        drop(client, PGRES_FATAL_ERROR, "23505");
        parted(client);
        drop(client, PGRES_PIPELINE_SYNC, NULL);
        for (int j = 0; j < 2; j++) {
            drop(client, PGRES_COMMAND_OK, NULL);
            parted(client);
        }
        drop(client, PGRES_PIPELINE_SYNC, NULL);
        ASSERT(PQexitPipelineMode(client));
    }
    PGresult *count = PQexec(clients[1], "SELECT count(*) FROM pipe_many");
    ASSERT(strcmp(PQgetvalue(count, 0, 0), number(LENGTH * CLIENTS / 2)) == 0);
    PQclear(count);
}

/* Row by row, with descriptions in between, and more than any buffer holds. */
static void rows_one_by_one(void) {
    PGconn *client = clients[2];
    ASSERT(PQenterPipelineMode(client));
    ASSERT(PQsendPrepare(client, "rows", "SELECT i, repeat('x', 1000) AS word FROM generate_series(1, $1::int) i", 0, NULL));
    ASSERT(PQsendDescribePrepared(client, "rows"));
    use(client, "rows", 2000);
    use(client, "rows", 1);
    ASSERT(PQpipelineSync(client));
    drop(client, PGRES_COMMAND_OK, NULL);
    parted(client);
    PGresult *described = next(client, PGRES_COMMAND_OK);
    ASSERT(PQnparams(described) == 1 && PQparamtype(described, 0) == 23 && strcmp(PQfname(described, 1), "word") == 0);
    PQclear(described);
    parted(client);
    ASSERT(PQsetSingleRowMode(client));
    for (int i = 1; i <= 2000; i++) {
        PGresult *row = next(client, PGRES_SINGLE_TUPLE);
        ASSERT(strcmp(PQgetvalue(row, 0, 0), number(i)) == 0);
        PQclear(row);
    }
    drop(client, PGRES_TUPLES_OK, NULL);
    parted(client);
    drop(client, PGRES_TUPLES_OK, NULL);
    parted(client);
    drop(client, PGRES_PIPELINE_SYNC, NULL);
    ASSERT(PQexitPipelineMode(client));
}

static void cancelled_in_a_pipeline(void) {
    PGconn *client = clients[0], *past = connect_to(past_port, NULL);
    ASSERT(PQenterPipelineMode(client));
    ask(client, "SELECT $1::int", 1);
    ASSERT(PQsendQueryParams(client, "SELECT pg_sleep(60) /* libpq is to stop it */", 0, NULL, NULL, NULL, NULL, 0));
    ask(client, "SELECT $1::int", 2);
    ASSERT(PQpipelineSync(client));
    ask(client, "SELECT $1::int", 3);
    ASSERT(PQpipelineSync(client));
    ASSERT(PQflush(client) == 0);
    for (int runs = 0; !runs; usleep(10000)) {
        PGresult *seen = PQexec(past, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%libpq is to stop it %' AND pid <> pg_backend_pid()");
        runs = atoi(PQgetvalue(seen, 0, 0));
        PQclear(seen);
    }
    char error[256];
    PGcancel *cancel = PQgetCancel(client);
    ASSERT(PQcancel(cancel, error, sizeof error));
    PQfreeCancel(cancel);
    value(client, "1");
    drop(client, PGRES_FATAL_ERROR, "57014");
    parted(client);
    drop(client, PGRES_PIPELINE_ABORTED, NULL);
    parted(client);
    drop(client, PGRES_PIPELINE_SYNC, NULL);
    value(client, "3");
    drop(client, PGRES_PIPELINE_SYNC, NULL);
    ASSERT(PQexitPipelineMode(client));
    PQfinish(past);
}

/* Other connections with a setting of their own take turns with the first ones. */
static void settings_in_pipelines(void) {
    PGconn *tokyo = connect_to(port, "-c TimeZone=Asia/Tokyo -c statement_timeout=12345");
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++) {
            PGconn *client = i == 1 ? tokyo : clients[i];
            ASSERT(PQenterPipelineMode(client));
            ASSERT(PQsendQueryParams(client, "SELECT current_setting('statement_timeout')", 0, NULL, NULL, NULL, NULL, 0));
            ASSERT(PQsendQueryParams(client, "SHOW TimeZone", 0, NULL, NULL, NULL, NULL, 0));
            ASSERT(PQpipelineSync(client));
        }
        for (int i = 0; i < 3; i++) {
            PGconn *client = i == 1 ? tokyo : clients[i];
            value(client, i == 1 ? "12345ms" : "0");
            PGresult *zone = next(client, PGRES_TUPLES_OK);
            ASSERT((strcmp(PQgetvalue(zone, 0, 0), "Asia/Tokyo") == 0) == (i == 1));
            ASSERT(strcmp(PQgetvalue(zone, 0, 0), PQparameterStatus(client, "TimeZone")) == 0);
            PQclear(zone);
            parted(client);
            drop(client, PGRES_PIPELINE_SYNC, NULL);
            ASSERT(PQexitPipelineMode(client));
        }
    }
    PQfinish(tokyo);
}

static void hung(int signal) {
    (void)signal;
    printf("not ok %s: not done within 20 s\n", running);
    fflush(stdout);
    _exit(1);
}

int main(int count, char **arguments) {
    static const struct { const char *name; void (*run)(void); } checks[] = {
        {"a hundred queries in one pipeline, a name for each client", many_in_one},
        {"errors between synchronisation points", errors_between_syncs},
        {"Flush without Sync", flush_without_sync},
        {"transactions and savepoints", transactions_in_a_pipeline},
        {"descriptions, and rows one by one", rows_one_by_one},
        {"a cancelled query", cancelled_in_a_pipeline},
        {"settings of the login", settings_in_pipelines},
    };
    int all = sizeof checks / sizeof checks[0], bad = 0;
    if (count != 6)
        return 2;
    port = arguments[1];
    past_port = arguments[2];
    database = arguments[3];
    user = arguments[4];
    password = arguments[5];
    signal(SIGALRM, hung);
    for (int i = 0; i < all; i++) {
        running = checks[i].name;
        alarm(20);
        if (setjmp(failed) == 0) {
            for (int j = 0; j < CLIENTS; j++)
                clients[j] = connect_to(port, NULL);
            checks[i].run();
            printf("ok %s\n", running);
        } else {
            bad++;
            printf("not ok %s: %s\n", running, why);
        }
        fflush(stdout);
        for (int j = 0; j < CLIENTS; j++) {
            PQfinish(clients[j]);
            clients[j] = NULL;
        }
    }
    printf("%d checks\n", all);
    return bad > 0;
}
