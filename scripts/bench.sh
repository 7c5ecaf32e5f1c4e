#!/usr/bin/env bash
# Compares Pooler with PgBouncer, with a bare relay on the same I/O thread, and with PostgreSQL asked directly:
# scripts/bench.sh [--quick] [--compare BINARY] [--rounds N] [--seconds S] [--engines LIST] [--protocols LIST] [--clients LIST] [section…]
#   section            main pgbench prepared curve synthetic idle logins tls tlsidle secrets storm copy mixed workers2 routing memory
#                      allocation; without any: all of them
#   --quick            one round of one second, 1 and 16 clients: to see that all works, not to compare
#   --compare BINARY   takes another Pooler along, as "old"
#   --rounds N         rounds (5); the contenders take turns in each, in alternating order
#   --seconds S        measured seconds of one run (3)
#   --engines LIST     "epoll io_uring": Pooler takes part once with each that this machine allows
#   --protocols LIST   "simple extended prepared", of main, pgbench and synthetic
#   --clients LIST     "1 16 64 200", of main
# PGBOUNCER names the PgBouncer binary to compare with; POOLER_BINARY is measured instead of a freshly published Pooler.
# Odyssey, PgCat, PgDog and Pgpool-II take part in main where they are on PATH.
# Prints Markdown, medians and (min–max) of the rounds, and leaves it with the same as JSON, and a picture, under artifacts/bench.
# The exit status is 0 only if Pooler took part in everything without an error.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

all_sections=(main pgbench prepared curve synthetic idle logins tls tlsidle secrets storm copy mixed workers2 routing memory allocation)
quick=false rounds='' seconds='' old='' engines=(epoll io_uring) sections=() protocols=() client_counts=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true ;;
    --compare | --rounds | --seconds | --engines | --protocols | --clients)
      [ $# -gt 1 ] || die "$1 wants a value"
      case $1 in
        --compare) old=$2 ;;
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --engines) read -ra engines <<<"$2" ;;
        --protocols) read -ra protocols <<<"$2" ;;
        --clients) read -ra client_counts <<<"$2" ;;
      esac
      shift ;;
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option $1" ;;
    *)
      case " ${all_sections[*]} " in *" $1 "*) sections+=("$1") ;; *) die "unknown section $1: ${all_sections[*]}" ;; esac ;;
  esac
  shift
done
[ ${#sections[@]} -gt 0 ] || sections=("${all_sections[@]}")
crowd=5000 logins=5000 rates=(2000 5000 10000 20000 30000 40000 60000 80000)
if $quick; then
  rounds=${rounds:-1} seconds=${seconds:-1} logins=1000 rates=(2000 20000)
  [ ${#protocols[@]} -gt 0 ] || protocols=(simple extended)
  [ ${#client_counts[@]} -gt 0 ] || client_counts=(1 16)
fi
[ ${#protocols[@]} -gt 0 ] || protocols=(simple extended prepared)
[ ${#client_counts[@]} -gt 0 ] || client_counts=(1 16 64 200)
rounds=${rounds:-5} seconds=${seconds:-3}

need postgresql aot openssl
pgbouncer=${PGBOUNCER-}
if [ -z "$pgbouncer" ]; then
  need pgbouncer
  pgbouncer=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
fi
programs=$(find_postgres) || die "PostgreSQL is not installed"
for name in $(compgen -e PG); do [ "$name" = PGBOUNCER ] || unset "$name"; done
pooler=${POOLER_BINARY-}
if [ -z "$pooler" ]; then
  (publish_pooler --if-changed) || exit 1
  pooler=$root/artifacts/pooler/pooler
fi
for name in LoadGenerator Relay; do
  say "publishing benchmarks/Pooler.$name"
  dotnet publish "$root/benchmarks/Pooler.$name" -c Release -o "$root/artifacts/bench/bin" -v quiet >&2 || die "dotnet publish failed"
done
load=$root/artifacts/bench/bin/pooler-load

# A client of the crowd is a descriptor here and one in the pooler.
ulimit -n "$(ulimit -Hn)"
limit=$(ulimit -n)
if [ "$limit" != unlimited ] && [ $((limit - 500)) -lt $crowd ]; then
  crowd=$((limit - 500))
  say "the limit of descriptors allows only $crowd idle clients"
fi

load_before=$(cut -d ' ' -f 1 /proc/loadavg)
folder=$(mktemp -d)
declare -A port=() pid=() failed=()
clean_up() {
  trap - EXIT INT TERM
  local name
  for name in "${!pid[@]}"; do stop "$name"; done
  rm -rf "$folder"
}
# stop NAME: ends a process of ours; nothing of it is needed any more.
stop() {
  local id=${pid[$1]-}
  unset "pid[$1]" "port[$1]"
  [ -n "$id" ] || return 0
  # PostgreSQL and Pgpool-II must take their children and their shared memory along.
  local signal=KILL
  case $1 in postgres | pgpool) signal=INT ;; esac
  kill -s "$signal" "$id" 2>/dev/null
  wait "$id" 2>/dev/null
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

chmod 755 "$folder"
mkdir "$folder/run"
: >"$folder/results"
# Copies, since the ordinary user may have no way to the originals.
cp "$pooler" "$folder/run/pooler" && cp "$pgbouncer" "$folder/run/pgbouncer" && cp "${load%/*}/pooler-relay" "$folder/run/relay" &&
  cp "$load" "$folder/run/load" ||
  die "cannot copy the programs"
if [ -n "$old" ]; then cp "$old" "$folder/run/pooler-old" || die "cannot copy $old"; fi
ours=()
for engine in "${engines[@]}"; do
  case $engine in epoll | io_uring) ;; *) die "unknown engine $engine: epoll io_uring" ;; esac
  ours+=("pooler $engine")
  [ -z "$old" ] || ours+=("old $engine")
done
peers=()
for name in odyssey pgcat pgdog pgpool; do
  if PATH=$PATH:/usr/sbin command -v "$name" >/dev/null; then peers+=("$name"); fi
done
if [ "$(id -u)" -eq 0 ]; then chown -R "$ordinary_user:" "$folder/run"; fi

# command_of NAME PORT: sets command, and writes the settings it names.
command_of() {
  local ini=$folder/run/$2.ini
  case $1 in
    relay) command=("$folder/run/relay" "$2" "${port[$database]}") ;;
    synthetic) command=("$folder/run/load" serve --port "$2") ;;
    odyssey | pgcat | pgdog | pgpool) peer_command "$1" "$2" "$folder/run/$2" ;;
    pgbouncer) command=("$folder/run/pgbouncer" "$ini"); pgbouncer_ini "$2" >"$ini" ;;
    *)
      command=("$folder/run/pooler" "$ini")
      case $1 in old*) command=("$folder/run/pooler-old" "$ini") ;; esac
      pgbouncer_ini "$2" >"$ini"
      case $1 in *routing=*) sed -i "s/ dbname=postgres/& routing=${1##*routing=}/" "$ini" ;; esac
      case $1 in *io_uring*) echo 'io_engine = io_uring' ;; *) echo 'io_engine = epoll' ;; esac >>"$ini"
      case $1 in *workers=2) echo 'workers = 2' ;; *) echo 'workers = 1' ;; esac >>"$ini" ;;
  esac
}
pgbouncer_ini() {
  cat <<END
[databases]
postgres = host=127.0.0.1 port=${port[$database]} dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $1
unix_socket_dir =
auth_type = $auth
auth_file = $folder/run/users
admin_users = postgres
pool_mode = transaction
default_pool_size = 20
max_client_conn = 6000
log_connections = 0
log_disconnections = 0
END
  # Only where it is measured: a Pooler of before TLS takes part in the other sections.
  case $section in
    tls | tlsidle | secrets | storm)
      printf '%s\n' 'client_tls_sslmode = allow' "client_tls_cert_file = $folder/run/tls.crt" "client_tls_key_file = $folder/run/tls.key" ;;
  esac
  printf '"postgres" "%s"\n' "$verifier" >"$folder/run/users"
}
# peer_command NAME PORT FOLDER: the least that makes another pooler do the same: 20 servers, transactions, one thread, trust.
peer_command() {
  local to=${port[$database]}
  mkdir -p "$3"
  case $1 in
    odyssey)
      cat >"$3/odyssey.conf" <<END
daemonize no
log_to_stdout no
workers 1
storage "one" { type "remote" host "127.0.0.1" port $to }
database default { user default { authentication "none" storage "one" pool "transaction" pool_size 20 } }
listen { host "127.0.0.1" port $2 }
END
      command=(odyssey "$3/odyssey.conf") ;;
    pgcat)
      cat >"$3/pgcat.toml" <<END
[general]
host = "127.0.0.1"
port = $2
worker_threads = 1
admin_username = "postgres"
admin_password = "none"
auth_type = "trust"
[pools.postgres]
pool_mode = "transaction"
[pools.postgres.users.0]
username = "postgres"
password = ""
pool_size = 20
[pools.postgres.shards.0]
servers = [["127.0.0.1", $to, "primary"]]
database = "postgres"
END
      command=(pgcat "$3/pgcat.toml") ;;
    pgdog)
      cat >"$3/pgdog.toml" <<END
[general]
host = "127.0.0.1"
port = $2
workers = 1
default_pool_size = 20
pooler_mode = "transaction"
auth_type = "trust"
[[databases]]
name = "postgres"
host = "127.0.0.1"
port = $to
END
      printf '[[users]]\nname = "postgres"\ndatabase = "postgres"\npassword = ""\n' >"$3/users.toml"
      command=(pgdog --config "$3/pgdog.toml" --users "$3/users.toml") ;;
    pgpool)
      # It has no transaction pooling: a process and a server for each client.
      cat >"$3/pgpool.conf" <<END
listen_addresses = '127.0.0.1'
port = $2
pcp_port = $(free_port)
socket_dir = '$3'
pcp_socket_dir = '$3'
pid_file_name = '$3/pgpool.pid'
logdir = '$3'
work_dir = '$3'
backend_clustering_mode = 'raw'
backend_hostname0 = '127.0.0.1'
backend_port0 = $to
num_init_children = 240
max_pool = 1
enable_pool_hba = off
log_min_messages = error
END
      command=(env PATH="$PATH:/usr/sbin" pgpool -n -f "$3/pgpool.conf") ;;
  esac
  if [ "$(id -u)" -eq 0 ]; then chown -R "$ordinary_user:" "$3"; fi
}

# start NAME: starts a contender, or PostgreSQL, unless it runs, and waits until it answers. Status 1: it does not.
start() {
  local name=$1 log=$folder/$1.log tries command
  [ -z "${port[$name]-}" ] || return 0
  port[$name]=$(free_port)
  if [ "$name" = postgres ]; then
    as_ordinary_user "$programs/initdb" -D "$folder/run/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$log" 2>&1 ||
      { cat "$log" >&2; die "initdb failed"; }
    command=("$programs/postgres" -D "$folder/run/data" -p "${port[postgres]}" -c listen_addresses=127.0.0.1
      -c unix_socket_directories= -c fsync=off -c max_connections=600)
  else
    command_of "$name" "${port[$name]}"
  fi
  become_ordinary_user "${command[@]}" >"$log" 2>&1 &
  pid[$name]=$!
  for tries in $(seq 300); do
    "$load" query --port "${port[$name]}" ${password+"${password[@]}"} --clients 1 --transactions 1 --warmup 0 >/dev/null 2>&1 && return 0
    kill -0 "${pid[$name]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  say "$name does not answer"
  stop "$name"
  return 1
}
# started CONTENDER…: starts them; adds those that answer to taking_part. Ours must, unless the engine is refused here.
started() {
  local name
  for name in "$@"; do
    if start "$name"; then
      taking_part+=("$name")
      continue
    fi
    case $name in
      odyssey | pgcat | pgdog | pgpool) ;;
      *io_uring*) grep -q 'io_uring is refused here' "$folder/$name.log" || die "$name does not start" ;;
      *) die "$name does not start" ;;
    esac
  done
}

# measure SECTION CONTENDER ROUND CASE COMMAND…: one run of the generator; CASE: tags that tell it from other runs of the section.
measure() {
  local tags="section=$1,contender=$2,round=$3${4:+,$4}" name=$2 command=$5 watch=() run="$1 $2 $4"
  shift 5
  # What could not be run in one round is not tried in the others.
  [ -z "${failed[$run]-}" ] || return 0
  say "  round ${tags#*round=}: $name"
  if [ -n "${pid[$name]-}" ] && [ "$command" != start ]; then watch=(--watch "${pid[$name]}"); fi
  timeout 180 "$load" "$command" --host 127.0.0.1 --port "${port[$name]}" --tags "$tags" ${watch+"${watch[@]}"} "$@" \
    >>"$folder/results" || failed[$run]=yes
}

# in_turn FUNCTION CONTENDER…: every contender in every round, forward and backward by turns.
in_turn() {
  local run=$1 round name order
  shift
  for round in $(seq "$rounds"); do
    order=("$@")
    if [ $((round % 2)) -eq 0 ]; then
      order=()
      for name in "$@"; do order=("$name" ${order+"${order[@]}"}); done
    fi
    for name in "${order[@]}"; do "$run" "$name" "$round"; done
  done
}
# note SECTION CONTENDER ROUND FIGURE VALUE: a figure that does not come from the generator.
note() {
  printf '{"command":"note","tags":{"section":"%s","contender":"%s","round":"%s"},"%s":%s}\n' "$@" >>"$folder/results"
}
console() { "$programs/psql" -X -A -q -h 127.0.0.1 -p "${port[$1]}" -U postgres -d pgbouncer -c "$2" 2>/dev/null; }

run_main() { measure main "$1" "$2" "protocol=$protocol,clients=$clients" query --protocol "$protocol" --clients "$clients" --seconds "$seconds" --limit-seconds 20; }
# Prepared statements and the extended protocol by turns: "pooler io_uring prepared" is the same process as "pooler io_uring".
run_prepared() {
  local process=${1% prepared} protocol=extended
  [ "$1" = "$process" ] || protocol=prepared
  port[$1]=${port[$process]} pid[$1]=${pid[$process]}
  measure prepared "$1" "$2" "clients=$clients" query --protocol "$protocol" --clients "$clients" --seconds "$seconds" --limit-seconds 20
  [ "$1" = "$process" ] || unset "port[$1]" "pid[$1]"
}
run_pgbench() {
  measure pgbench "$1" "$2" "protocol=$protocol,clients=16" pgbench --protocol "$protocol" --clients 16 --seconds "$seconds" \
    --program "$programs/pgbench" --file "$folder/select.sql"
}
# A fresh process: what earlier clients have left behind is not the crowd's.
run_idle() { stop "$1"; start "$1"; measure idle "$1" "$2" "clients=$crowd" idle --clients "$crowd"; stop "$1"; }
run_tls() { measure tls "$1" "$2" clients=16 query --tls 1 --clients 16 --seconds "$seconds"; }
run_tlsidle() { stop "$1"; start "$1"; measure tlsidle "$1" "$2" "clients=$crowd" idle --tls 1 "${password[@]}" --clients "$crowd" --limit-seconds 120; stop "$1"; }
# Every login is of a stranger: no session is resumed.
run_secrets() { measure secrets "$1" "$2" "with=$kind" login --clients 8 --logins "$logins" "${password[@]}" --tls "$([ "$kind" = scram ] && echo 0 || echo 1)"; }
# Those who were there before are measured from a second before the storm to some after it.
run_storm() {
  measure storm "$1" "$2" who=running query --rate 1000 --clients 16 --seconds "$storm_seconds" --tls 1 "${password[@]}" --limit-seconds 60 &
  local running=$!
  sleep 1
  measure storm "$1" "$2" who=crowd login --clients "$crowd" --logins "$crowd" --tls 1 "${password[@]}" --limit-seconds 120
  wait "$running"
}
run_logins() { measure logins "$1" "$2" clients=8 login --clients 8 --logins "$logins"; }
run_copy() { measure copy "$1" "$2" "direction=$direction" copy --direction "$direction" --seconds "$seconds"; }
run_mixed() { measure mixed "$1" "$2" clients=16 mixed --clients 16 --streams 4 --seconds "$seconds"; }
run_workers2() {
  measure workers2 "$1" "$2" '' split --seconds "$seconds"
  local moved
  # Of all leases since the start, those whose server came from the other thread; only Pooler counts them.
  moved=$(console "$1" 'show stats' | awk -F'|' '
    NR == 1 { for (i = 1; i <= NF; i++) { if ($i ~ /moved/) m = i; if ($i ~ /total.*assignment/) a = i } }
    NR > 1 && m && a { moved += $m; all += $a }
    END { if (all) print 100 * moved / all }')
  if [ -n "$moved" ]; then note workers2 "$1" "$2" moved_percent "$moved"; fi
}
# Before one primary: what it costs to look at statements, and to find no replica for them.
run_routing() { measure routing "$1" "$2" "protocol=$protocol,clients=16" query --protocol "$protocol" --clients 16 --seconds "$seconds"; }
run_curve() {
  measure curve "$1" "$2" "protocol=simple,clients=64,rate=$rate" query --rate "$rate" --clients 64 --seconds "$seconds" --limit-seconds 20
}
run_synthetic() { measure synthetic "$1" "$2" "protocol=$protocol,clients=64" query --protocol "$protocol" --clients 64 --seconds "$seconds"; }
run_memory() {
  local command own=()
  port[$1]=$(free_port)
  command_of "$1" "${port[$1]}"
  if [ "$(id -u)" -eq 0 ]; then own=(setpriv --reuid="$ordinary_user" --regid="$ordinary_user" --clear-groups --); fi
  measure memory "$1" "$2" '' start --run "${own[*]-} ${command[*]}"
  unset "port[$1]"
}
allocated() { console "$1" 'show mem' | awk -F'|' 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i } $1 ~ /^alloc/ { print $column["bytes" in column ? "bytes" : "memtotal"]; exit }'; }
run_allocation() {
  local before after
  "$load" query --port "${port[$1]}" --transactions 20000 >/dev/null
  before=$(allocated "$1")
  measure allocation "$1" "$2" '' query --transactions 100000 --warmup 0
  after=$(allocated "$1")
  if [ -n "$before" ] && [ -n "$after" ]; then
    note allocation "$1" "$2" bytes_per_tx "$(awk "BEGIN { print ($after - $before) / 100000 }")"
  else
    note allocation "$1" "$2" failed '"SHOW MEM tells of no allocated bytes"'
  fi
}

# What the contenders stand before.
section='' database=postgres auth=trust verifier='' storm_seconds=12
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$folder/run/tls.key" -out "$folder/run/tls.crt" -subj /CN=localhost -days 2 2>/dev/null || die "no certificate"
chmod 644 "$folder/run/tls.key"
start postgres || exit 1
port[direct]=${port[postgres]}
echo 'select 1;' >"$folder/select.sql"
"$programs/psql" -X -q -h 127.0.0.1 -p "${port[postgres]}" -U postgres -c 'create unlogged table load_copy (line text)' || die "no table"
for section in "${sections[@]}"; do
  say "== $section"
  taking_part=()
  case $section in
    tlsidle | secrets | storm)
      auth=scram-sha-256 password=(--password bench)
      verifier=$("$programs/psql" -X -A -t -q -h 127.0.0.1 -p "${port[postgres]}" -U postgres -c "create role bench" \
        -c "set password_encryption = 'scram-sha-256'" -c "alter role bench password 'bench'" \
        -c "select rolpassword from pg_authid where rolname = 'bench'" -c "drop role bench") || die "no verifier"
      case $section in tlsidle) in_turn run_tlsidle pgbouncer "${ours[@]}" ;; *) started pgbouncer "${ours[@]}" ;; esac ;;
    memory) in_turn run_memory relay pgbouncer "${ours[@]}"; continue ;;
    idle) in_turn run_idle pgbouncer "${ours[@]}"; continue ;;
    main) started direct pgbouncer relay "${ours[@]}" ${peers+"${peers[@]}"} ;;
    synthetic) start synthetic || exit 1; database=synthetic; started pgbouncer "${ours[@]}" "${ours[@]/%/ workers=2}" ;;
    workers2) started pgbouncer "${ours[@]}" "${ours[@]/%/ workers=2}" ;;
    routing) started "${ours[@]}" "${ours[@]/%/ routing=primary}" "${ours[@]/%/ routing=read_write_split}" ;;
    allocation) started "${ours[@]}" ;;
    curve) started direct pgbouncer "${ours[@]}" ;;
    prepared | tls) started pgbouncer "${ours[@]}" ;;
    *) started direct pgbouncer relay "${ours[@]}" ;;
  esac
  case $section in
    main) for protocol in "${protocols[@]}"; do for clients in "${client_counts[@]}"; do in_turn run_main "${taking_part[@]}"; done; done ;;
    tlsidle) ;;
    secrets) for kind in scram tls+scram; do in_turn run_secrets "${taking_part[@]}"; done ;;
    prepared) for clients in 16 200; do in_turn run_prepared pgbouncer "${ours[@]}" "${ours[@]/%/ prepared}"; done ;;
    pgbench) for protocol in "${protocols[@]}"; do in_turn run_pgbench "${taking_part[@]}"; done ;;
    routing) for protocol in "${protocols[@]}"; do in_turn run_routing "${taking_part[@]}"; done ;;
    synthetic) for protocol in "${protocols[@]}"; do in_turn run_synthetic "${taking_part[@]}"; done ;;
    curve) for rate in "${rates[@]}"; do in_turn run_curve "${taking_part[@]}"; done ;;
    copy) for direction in out in; do in_turn run_copy "${taking_part[@]}"; done ;;
    *) in_turn "run_$section" "${taking_part[@]}" ;;
  esac
  # Nobody holds servers while the next section starts afresh.
  for name in "${!pid[@]}"; do [ "$name" = postgres ] || stop "$name"; done
  port[direct]=${port[postgres]} database=postgres auth=trust verifier=''
  unset password
done

report=$root/artifacts/bench/$(date +%Y%m%d-%H%M%S)
{
  printf '## Pooler beside others, %s\n\n' "$(date -u +%F)"
  printf -- '- machine: %s processors, %s, %s GB; Linux %s\n' "$(nproc)" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(uname -r)"
  printf -- '- %s; %s; Pooler %s; .NET %s\n' "$("$programs/postgres" --version)" "$("$pgbouncer" --version | head -n 1)" \
    "$("$folder/run/pooler" --version 2>/dev/null | head -n 1) $(git -C "$root" rev-parse --short HEAD 2>/dev/null)" "$(dotnet --version)"
  printf -- "- transaction mode, 20 servers a pool, %s; rounds: %s of %s s; load average before and after: %s, %s\n" \
    "one I/O thread" "$rounds" "$seconds" "$load_before" "$(cut -d ' ' -f 1 /proc/loadavg)"
  "$load" summary --file "$folder/results" --json "$report.json" --svg "$report.svg" || die "no summary"
} | tee "$report.md"
cp "$folder/results" "$report.jsonl"
say "also in ${report#"$root/"}.md, .json, .jsonl, .svg"
for run in "${!failed[@]}"; do
  case $run in *" pooler"*) die "Pooler did not take part in everything" ;; esac
done
! grep -E '"contender":"(pooler|old)' "$folder/results" | grep -E '"failed":|"(stream_)?errors":[1-9]' >&2
