#!/usr/bin/env bash
# Shows Pooler at work before a throwaway PostgreSQL: scripts/demo.sh [--once]
# 200 clients run on at most 20 servers. Then two replicas join: reads and writes part ways, and while clients write the primary is
# switched over and another is killed. All stays up, for you to connect to, until Ctrl-C.
#   --once    ends when all was shown; the exit status is 0 only if it was as promised
# Everything lives in a temporary folder and on 127.0.0.1, and is removed at the end.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/demo-cluster.sh"

once=false
for argument in "$@"; do
  case $argument in
    --once) once=true ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown option $argument" ;;
  esac
done

clients=200 pool_size=20 seconds=5
need postgresql aot
binary=${POOLER_BINARY-}
if [ -z "$binary" ]; then
  (publish_pooler --if-changed) || exit 1
  binary=$root/artifacts/pooler/pooler
fi
programs=$(find_postgres) || die "PostgreSQL is not installed"
for name in $(compgen -e PG); do unset "$name"; done # nothing of the caller's own PostgreSQL

folder=$(mktemp -d)
pooler_id='' pgbench_id='' writer_ids=() shown=true

# end ID SIGNAL: ends a process of ours and waits for it; kills it after ten seconds.
end() {
  local id=$1 tries
  [ -n "$id" ] || return 0
  kill -s "$2" "$id" 2>/dev/null
  for tries in $(seq 100); do
    kill -0 "$id" 2>/dev/null || break
    sleep 0.1
  done
  kill -s KILL "$id" 2>/dev/null
  wait "$id" 2>/dev/null
}
clean_up() {
  trap - EXIT INT TERM
  end "$pgbench_id" TERM
  end "$pooler_id" "$pooler_signal"
  end_cluster
  rm -rf "$folder"
}
# PgBouncer before 1.23 knows only TERM for an end at once; Pooler waits for its clients on TERM.
pooler_signal=QUIT is_pgbouncer=false
if [ "${binary##*/}" = pgbouncer ]; then pooler_signal=TERM is_pgbouncer=true; fi
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

chmod 755 "$folder"
mkdir "$folder/data1" "$folder/data2" "$folder/data3" "$folder/run"
chmod 700 "$folder"/data[123]
# A copy, since the ordinary user may have no way to the original.
cp "$binary" "$folder/run/" || die "cannot copy $binary"
binary=$folder/run/${binary##*/}

ports=(0 "$(free_port)" "$(free_port)" "$(free_port)")
postgres_port=${ports[1]}
pooler_port=$(free_port)
cat >"$folder/run/userlist.txt" <<END
"app" ""
"admin" ""
"monitor" ""
END
write_switchover_command
cat >"$folder/run/pooler.ini" <<END
[databases]
demo = host=127.0.0.1 port=$postgres_port dbname=demo
$($is_pgbouncer || echo "shop = host=127.0.0.1,127.0.0.1,127.0.0.1 port=${ports[1]},${ports[2]},${ports[3]} dbname=demo routing=read_write_split monitor_user=monitor switchover_command=$folder/run/switchover")

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler_port
unix_socket_dir =
auth_type = trust
auth_file = $folder/run/userlist.txt
admin_users = admin
pool_mode = transaction
default_pool_size = $pool_size
max_client_conn = 1000
log_connections = 0
log_disconnections = 0
END
if [ "$(id -u)" -eq 0 ]; then chown -R "$ordinary_user:" "$folder"/data[123] "$folder/run" "$folder"; fi

direct() { "$programs/psql" -X -A -t -q -P pager=off -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -U postgres -d postgres "$@"; }
pooled() { "$programs/psql" -X -A -t -q -P pager=off -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$pooler_port" -U app -d demo "$@"; }
console="host=127.0.0.1 port=$pooler_port dbname=pgbouncer user=admin"

# until_ready ID LOG COMMAND…: repeats the command until it succeeds, for thirty seconds at most.
until_ready() {
  local id=$1 log=$2 tries
  shift 2
  for tries in $(seq 300); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 "$id" 2>/dev/null || break
    sleep 0.1
  done
  cat "$log" >&2
  die "not ready: $*"
}
check() {
  if [ "$1" = true ]; then echo "  as promised: $2"; else echo "  NOT as promised: $2"; shown=false; fi
}

echo "== PostgreSQL on 127.0.0.1:$postgres_port"
as_ordinary_user "$programs/initdb" -D "$folder/data1" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$folder/initdb.log" 2>&1 ||
  { cat "$folder/initdb.log" >&2; die "initdb failed"; }
cat >>"$folder/data1/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
max_connections = 100
wal_log_hints = on
wal_keep_size = '128MB'
wal_retrieve_retry_interval = '100ms'
END
start_host 1
direct -c 'CREATE ROLE app LOGIN' -c 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor' -c 'CREATE DATABASE demo OWNER app' >/dev/null || die "the demo's database could not be made"
"$programs/pgbench" -i -q -s 1 -h 127.0.0.1 -p "$postgres_port" -U app demo >"$folder/fill.log" 2>&1 ||
  { cat "$folder/fill.log" >&2; die "pgbench could not fill the database"; }
echo "  it takes at most 100 connections"

echo "== Pooler before it on 127.0.0.1:$pooler_port, transaction mode, at most $pool_size servers"
become_ordinary_user "$binary" "$folder/run/pooler.ini" >"$folder/pooler.log" 2>&1 &
pooler_id=$!
until_ready "$pooler_id" "$folder/pooler.log" pooled -c 'SELECT 1'
pooled -c "SELECT '  psql: ' || current_user || ' in ' || current_database() || ', PostgreSQL ' || split_part(version(), ' ', 2)"

echo "== pgbench: $clients clients for $seconds seconds"
"$programs/pgbench" -h 127.0.0.1 -p "$pooler_port" -U app -n -S -c "$clients" -j 2 -T "$seconds" demo >"$folder/pgbench.log" 2>&1 &
pgbench_id=$!
most_servers=0 looks=0
while kill -0 "$pgbench_id" 2>/dev/null; do
  servers=$(direct -c "SELECT count(*) FROM pg_stat_activity WHERE datname = 'demo' AND usename = 'app'" -c 'SELECT pg_sleep(0.1)' | head -n 1)
  if [ "${servers:-0}" -gt "$most_servers" ]; then most_servers=$servers; fi
  looks=$((looks + 1))
done
wait "$pgbench_id"
pgbench_status=$?
pgbench_id=''
grep -E '^(number of clients|number of transactions actually processed|number of failed transactions|tps|latency average)' "$folder/pgbench.log" | sed 's/^/  /'
if [ $pgbench_status -ne 0 ]; then cat "$folder/pgbench.log"; fi
check "$([ $pgbench_status -eq 0 ] && grep -q "^number of clients: $clients$" "$folder/pgbench.log" && echo true)" "$clients clients were served"
check "$([ "$most_servers" -ge 1 ] && [ "$most_servers" -le "$pool_size" ] && echo true)" \
  "at most $most_servers servers at once (limit $pool_size), counted $looks times in pg_stat_activity"

echo "== SHOW POOLS on the console"
if "$programs/psql" -X -P pager=off -d "$console" -c 'SHOW POOLS' >"$folder/console.log" 2>&1; then
  sed 's/^/  /' "$folder/console.log"
  check "$(grep -q 'demo *| *app' "$folder/console.log" && echo true)" "the console answers"
else
  sed 's/^/  /' "$folder/console.log"
  check false "the console answers"
fi
check "$(kill -0 "$pooler_id" 2>/dev/null && echo true)" "Pooler is still running"

if ! $is_pgbouncer; then
  echo "== two replicas of it on 127.0.0.1:${ports[2]} and ${ports[3]}, and one entry for all three"
  start_cluster
  show_split
  show_cluster
fi

cat <<END
== connect
  application: psql "host=127.0.0.1 port=$pooler_port dbname=$($is_pgbouncer && echo demo || echo shop) user=app"
  console:     psql "$console"
END

if $once; then
  $shown || { tail -n 20 "$folder/pooler.log" >&2; die "not everything was as promised"; }
  exit 0
fi
echo "  Ctrl-C ends all and removes $folder"
wait "$pooler_id"
echo "Pooler has ended:"
tail -n 20 "$folder/pooler.log"
exit 1
