#!/usr/bin/env bash
# Writes src/Pooler/pooler.order: which methods a query, a start, a login and an operator's look run, in the order of their first run.
# The linker's input is laid out by it (IlcOrderFile), so that they lie together: of some 10 MB of code the start maps 3 instead of 8.5,
# and a query fewer pages. Names that are no longer there do no harm, and new methods lie with the rest: run it again now and then.
#   scripts/order.sh
# It takes two minutes: a throwaway PostgreSQL, and Pooler on both engines with a breakpoint on each of its methods (order.c).
set -uo pipefail
. "$(dirname "$0")/lib.sh"

case ${1-} in
  '') ;;
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) die "unknown option $1" ;;
esac
[ "$(uname -m)" = x86_64 ] || die "knows the breakpoint of x86-64 alone"
need postgresql aot openssl
(publish_pooler --if-changed) || exit 1
programs=$(find_postgres) || die "PostgreSQL is not installed"
for name in $(compgen -e PG); do unset "$name"; done

folder=$(mktemp -d)
pooler_id='' postgres_id=''
clean_up() {
  trap - EXIT INT TERM
  [ -z "$pooler_id" ] || kill -s KILL "$pooler_id" 2>/dev/null
  [ -z "$postgres_id" ] || { kill -s INT "$postgres_id" && wait "$postgres_id"; } 2>/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$folder"
mkdir "$folder/data" "$folder/run"
chmod 700 "$folder/data"
cp "$root/artifacts/pooler/pooler" "$folder/run/" || die "cannot copy pooler"
clang -O1 -shared -fPIC -o "$folder/run/order.so" "$root/scripts/order.c" || die "cannot compile order.c"

# 1. The methods and their addresses: what ILC has compiled is a section of its own. Methods whose code is the same share one.
section=$(readelf -SW "$root/artifacts/pooler/pooler.dbg" 2>/dev/null | sed -n 's/^ *\[ *\([0-9]*\)\] __managedcode .*/\1/p')
readelf -sW "$root/artifacts/pooler/pooler.dbg" 2>/dev/null |
  awk -v section="$section" '$4 == "FUNC" && $3 > 0 && $7 == section { print $2, $8 }' | sort -u >"$folder/symbols"
cut -d ' ' -f 1 "$folder/symbols" | uniq >"$folder/run/functions"
[ -s "$folder/run/functions" ] || die "pooler.dbg names no methods"

# 2. PostgreSQL, a password, a certificate.
postgres_port=$(free_port)
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$folder/run/key" -out "$folder/run/cert" 2>/dev/null
printf '"bench" "secret"\n' >"$folder/run/userlist.txt"
if [ "$(id -u)" -eq 0 ]; then chown -R "$ordinary_user:" "$folder/data" "$folder/run"; fi
as_ordinary_user "$programs/initdb" -D "$folder/data" -U bench -A trust --no-sync >/dev/null || die "initdb failed"
(become_ordinary_user "$programs/postgres" -D "$folder/data" -h 127.0.0.1 -p "$postgres_port" -k "" -F -c max_connections=50) >/dev/null 2>&1 &
postgres_id=$!
# ask PORT DATABASE SQL [OPTION=VALUE…]
ask() { "$programs/psql" -X -q "host=127.0.0.1 port=$1 dbname=$2 user=bench password=secret ${4-}" -c "$3" >/dev/null 2>&1; }
for _ in $(seq 100); do ask "$postgres_port" postgres 'select 1' && break; sleep 0.1; done
printf 'select 1;\n' >"$folder/select.sql"

# bench OPTION…: pgbench through the pooler, with the password.
bench() {
  PGPASSWORD=secret PGSSLMODE=${tls:-disable} "$programs/pgbench" -h 127.0.0.1 -p "$port" -U bench -n -f "$folder/select.sql" "$@" bench >/dev/null 2>&1 ||
    die "pgbench $* failed"
}
# So that nothing but queries is between two marks, each in its midst.
queries() {
  local protocol load tls
  for protocol in simple extended prepared tls; do
    tls=disable
    if [ "$protocol" = tls ]; then protocol=extended tls=require; fi
    bench -M "$protocol" -c 20 -j 2 -T 4 &
    load=$!
    sleep 2
    mark
    sleep 1
    mark
    wait "$load" || exit 1
  done
}
mark() { kill -s RTMAX "$pooler_id"; }

# 3. Each engine: a start, logins, queries once all is warm, and what operators ask.
walk() {
  local engine=$1 http name
  port=$(free_port)
  http=$(free_port)
  cat >"$folder/run/pooler.ini" <<END
[databases]
bench = host=127.0.0.1 port=$postgres_port dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
http_listen_port = $http
io_engine = $engine
auth_type = scram-sha-256
auth_file = $folder/run/userlist.txt
admin_users = bench
pool_mode = transaction
default_pool_size = 5
client_tls_sslmode = allow
client_tls_key_file = $folder/run/key
client_tls_cert_file = $folder/run/cert
END
  (become_ordinary_user env ORDER_FUNCTIONS="$folder/run/functions" ORDER_TRACE="$folder/run/$engine" LD_PRELOAD="$folder/run/order.so" \
    "$folder/run/pooler" -q "$folder/run/pooler.ini") &
  pooler_id=$!
  for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$http") 2>/dev/null && break; sleep 0.05; done
  mark
  bench -C -c 4 -t 25
  ask "$port" bench 'select 1' sslmode=require || die "no login with TLS"
  queries
  for name in pools databases servers clients stats; do ask "$port" pgbouncer "show $name" || die "SHOW $name failed"; done
  for name in metrics readyz livez; do
    exec 3<>"/dev/tcp/127.0.0.1/$http" && printf 'GET /%s HTTP/1.0\r\n\r\n' "$name" >&3 && cat <&3 >/dev/null
  done
  exec 3>&-
  kill -s QUIT "$pooler_id"
  wait "$pooler_id"
  pooler_id=''
  # 1 start, 2 login, 3, 5, 7, 9 queries alone, 4, 6, 8, 10 the rest
  awk -v out="$folder/$engine" 'BEGIN { part = 1 } /^-/ { part++; next } /^[0-9a-f]/ { print > (out "." part) }' "$folder/run/$engine"
}
for engine in io_uring epoll; do
  say "$engine: a start, logins, queries, an operator's questions"
  walk "$engine"
done

# 4. Queries first: they run for ever.
for part in 3 5 7 9 1 2 4 6 8 10; do cat "$folder/io_uring.$part" "$folder/epoll.$part"; done | awk '!seen[$0]++' >"$folder/ran"
awk 'NR == FNR { names[$1] = names[$1] $2 "\n"; next } { printf "%s", names[$1] }' "$folder/symbols" "$folder/ran" >"$root/src/Pooler/pooler.order"
say "src/Pooler/pooler.order: $(wc -l <"$root/src/Pooler/pooler.order") methods of $(wc -l <"$folder/symbols"), $(sort -u "$folder"/*.[3579] | wc -l) of them for queries"
