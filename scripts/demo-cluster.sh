# The second half of demo.sh, sourced by it: a primary and two replicas behind one entry, "shop". Hosts are numbered 1 to 3; the
# first is the PostgreSQL that demo.sh has started.

writers=3 hold_seconds=1

data_of() { printf '%s/data%s' "$folder" "$1"; }
host() { local number=$1; shift; "$programs/psql" -X -A -t -q -P pager=off -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "${ports[$number]}" -U postgres -d demo "$@"; }
shop() { "$programs/psql" -X -A -t -q -P pager=off -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$pooler_port" -U app -d shop "$@"; }
name_of() { local number; for number in 1 2 3; do if [ "${ports[$number]}" = "$1" ]; then printf 'host %s' "$number"; fi; done; }
control() { local number=$1; shift; (cd "$folder" && become_ordinary_user "$programs/pg_ctl" -D "$(data_of "$number")" -s "$@"); }
now() { printf '%s' "${EPOCHREALTIME//[.,]/}"; } # Microseconds.

start_host() {
  control "$1" -w -t 30 -l "$folder/postgres$1.log" -o "-p ${ports[$1]} -c cluster_name=host$1" start >/dev/null ||
    { cat "$folder/postgres$1.log" >&2; die "host $1 does not start"; }
}

# As a power failure: the postmaster and all its children at once, and nothing is said to anybody.
kill_host() {
  local id children
  id=$(head -n 1 "$(data_of "$1")/postmaster.pid")
  children=$(cat "/proc/$id/task/$id/children")
  kill -s KILL "$id" $children 2>/dev/null
}

# follow NUMBER SOURCE: it streams from that one, from its next start or reload on.
follow() {
  echo "primary_conninfo = 'host=127.0.0.1 port=${ports[$2]} user=postgres application_name=host$1'" >>"$(data_of "$1")/postgresql.auto.conf"
}

make_replica() {
  as_ordinary_user "$programs/pg_basebackup" -h 127.0.0.1 -p "${ports[1]}" -U postgres -D "$(data_of "$1")" -R -X stream -c fast --no-sync \
    >"$folder/copy$1.log" 2>&1 || { cat "$folder/copy$1.log" >&2; die "host 1 could not be copied"; }
  follow "$1" 1
  start_host "$1"
}

# What an HA tool would do for SWITCHOVER: the old primary stops, which brings its replicas all it has; the new one is promoted, the
# others follow it. Run by Pooler, which tells the ports, as the user it runs as.
write_switchover_command() {
  cat >"$folder/run/switchover" <<END
#!/bin/bash
set -e
cd "$folder"
for number in 1 2 3; do
  case \$(sed -n 4p "$folder/data\$number/postmaster.pid" | tr -d ' ') in
    "\$POOLER_OLD_PORT") old=\$number ;;
    "\$POOLER_NEW_PORT") new=\$number ;;
  esac
done
"$programs/pg_ctl" -D "$folder/data\$old" -s -w -m fast stop
"$programs/pg_ctl" -D "$folder/data\$new" -s -w promote
for number in 1 2 3; do
  if [ "\$number" != "\$new" ]; then
    echo "primary_conninfo = 'host=127.0.0.1 port=\$POOLER_NEW_PORT user=postgres application_name=host\$number'" >>"$folder/data\$number/postgresql.auto.conf"
  fi
done
touch "$folder/data\$old/standby.signal"
for number in 1 2 3; do
  if [ "\$number" != "\$new" ] && [ "\$number" != "\$old" ]; then "$programs/pg_ctl" -D "$folder/data\$number" -s reload; fi
done
"$programs/pg_ctl" -D "$folder/data\$old" -s -w -l "$folder/data\$old/log" -o "-p \$POOLER_OLD_PORT -c cluster_name=host\$old" start >/dev/null
END
  chmod 755 "$folder/run/switchover"
}

# Each write in a session of its own; a line for each: when it ended, whether it was acknowledged, its id, what was said.
write_on() {
  local number=$1 count=0 said
  while [ ! -e "$folder/stop" ]; do
    count=$((count + 1))
    if said=$(shop -v VERBOSITY=verbose -c "INSERT INTO orders VALUES ('w$number-$count')" 2>&1); then
      echo "$(now) ok w$number-$count"
    else
      echo "$(now) error w$number-$count ${said//$'\n'/ }"
    fi
  done >>"$folder/writes$number"
}

# writes FROM: what the writers have done since then, in order.
writes() { sort -n "$folder"/writes[0-9] | awk -v from="$1" '$1 >= from'; }
acknowledged() { writes "$1" | awk '$2 == "ok"' | wc -l; }
longest_pause() { writes "$1" | awk -v last="$1" '$2 == "ok" { if ($1 - last > most) most = $1 - last; last = $1 } END { printf "%d", most / 1000 }'; }

# writes_go_on COUNT: waits until so many more are acknowledged; false after half a minute.
writes_go_on() {
  local from tries
  from=$(now)
  for tries in $(seq 300); do
    if [ "$(acknowledged "$from")" -ge "$1" ]; then return 0; fi
    sleep 0.1
  done
  return 1
}

# show_pause FROM: how long nobody's write came through, and what clients were told.
show_pause() {
  printf '  %s writes acknowledged, longest pause %s ms, errors: %s\n' "$(acknowledged "$1")" "$(longest_pause "$1")" "$(writes "$1" | awk '$2 == "error"' | wc -l)"
  writes "$1" | awk '$2 == "error"' | sed 's/^[0-9]* error \([^ ]*\) .*\(FATAL\|ERROR\): */  \1: /' | cut -c 1-150
}

show_hosts() {
  "$programs/psql" -X -A -q -P pager=off -P footer=off -d "$console" -c 'SHOW HOSTS' >"$folder/hosts.log" 2>&1 || { cat "$folder/hosts.log"; return 1; }
  awk -F '|' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    { printf "  %-6s %-8s %-7s %-9s %-10s %-10s %s\n", $at["port"], $at["role"], $at["status"], $at["timeline"], $at["lag_bytes"], $at["sync_state"], $at["problem"] }' "$folder/hosts.log"
}

# hosts_are WORD…: whether SHOW HOSTS says "role status" of each.
hosts_are() {
  local tries wanted seen
  wanted=$(printf '%s\n' "$@")
  for tries in $(seq 150); do
    seen=$("$programs/psql" -X -A -q -P footer=off -d "$console" -c 'SHOW HOSTS' 2>/dev/null |
      awk -F '|' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print $at["role"], $at["status"] }')
    if [ "$seen" = "$wanted" ]; then return 0; fi
    sleep 0.1
  done
  return 1
}

# tally FILE: of lines with a port each, how many were of which host.
tally() { sort "$1" | uniq -c | while read -r count port; do printf '%s by %s, ' "$count" "$(name_of "$port")"; done | sed 's/, $//'; }
is_of() { awk -v port="$2" '($1 == port) != '"$3"' { wrong = 1 } END { exit wrong || NR == 0 }' "$1" && echo true; }

start_cluster() {
  local number
  host 1 -c 'CREATE TABLE orders (id text PRIMARY KEY)' -c 'ALTER TABLE orders OWNER TO app' || die "the demo's table could not be made"
  make_replica 2
  make_replica 3
  # Whoever is primary waits for one replica: what was acknowledged outlives it.
  for number in 1 2 3; do
    echo "synchronous_standby_names = 'ANY 1 (*)'" >>"$(data_of "$number")/postgresql.conf"
    control "$number" reload
  done
  check "$(hosts_are 'primary up' 'replica up' 'replica up' && echo true)" "one primary and two replicas are seen"
}

show_split() {
  echo "== read_write_split: psql sends 300 SELECTs, then 100 INSERTs"
  for number in $(seq 300); do echo "SELECT inet_server_port();"; done | shop >"$folder/reads" || shown=false
  for number in $(seq 100); do echo "INSERT INTO orders VALUES ('s-$number') RETURNING inet_server_port();"; done | shop >"$folder/inserts" || shown=false
  echo "  reads:  $(tally "$folder/reads")"
  echo "  writes: $(tally "$folder/inserts")"
  check "$(is_of "$folder/reads" "${ports[1]}" 0)" "replicas have answered all reads"
  check "$([ "$(sort -u "$folder/reads" | wc -l)" -eq 2 ] && echo true)" "both of them"
  check "$(is_of "$folder/inserts" "${ports[1]}" 1)" "the primary has done all writes"

  echo "== EXPLAIN (POOLER)"
  shop -c "EXPLAIN (POOLER) SELECT count(*) FROM orders" -c "EXPLAIN (POOLER) DELETE FROM orders" >"$folder/explain" 2>&1
  sed 's/^/  /' "$folder/explain"
  check "$(grep -q "(replica)" "$folder/explain" && grep -q "(primary)" "$folder/explain" && echo true)" "it tells where a statement goes, and why"

  echo "== a client writes and reads at once what it wrote, 100 times"
  for number in $(seq 100); do echo "INSERT INTO orders VALUES ('o-$number'); SELECT inet_server_port() FROM orders WHERE id = 'o-$number';"; done | shop >"$folder/own" || shown=false
  echo "  reads:  $(tally "$folder/own")"
  check "$([ "$(wc -l <"$folder/own")" -eq 100 ] && echo true)" "it has always found it"
}

show_switchover() {
  local from
  echo "== SWITCHOVER shop TO host 2, while $writers clients write"
  from=$(now)
  "$programs/psql" -X -q -d "$console" -c "SWITCHOVER shop TO 127.0.0.1:${ports[2]}" >"$folder/switchover.log" 2>&1
  check "$([ $? -eq 0 ] && echo true)" "the primary is host 2"
  sed 's/^/  /' "$folder/switchover.log"
  writes_go_on 30 || check false "writes go on"
  show_pause "$from"
  check "$([ -z "$(writes "$from" | awk '$2 == "error"')" ] && echo true)" "nobody was told of it"
  check "$(hosts_are 'replica up' 'primary up' 'replica up' && echo true)" "the old primary is a replica"
}

show_failover() {
  local from heir=3 other=1
  echo "== kill -9 of the primary, host 2, while $writers clients write; a replica is promoted after $hold_seconds s"
  from=$(now)
  kill_host 2
  sleep "$hold_seconds" # An HA tool takes its time.
  if [ "$(host 1 -c "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '$(host 3 -c 'SELECT pg_last_wal_receive_lsn()')') > 0")" = t ]; then heir=1 other=3; fi
  follow "$other" "$heir"
  control "$other" reload
  control "$heir" -w promote
  writes_go_on 30 || check false "writes go on"
  show_pause "$from"
  check "$([ "$(longest_pause "$from")" -lt 15000 ] && echo true)" "for the other clients it was a pause"
  if [ "$heir" = 1 ]; then set -- 'primary up' 'rival down' 'replica up'; else set -- 'replica up' 'rival down' 'primary up'; fi
  check "$(hosts_are "$@" && echo true)" "host $heir is the primary now"
  touch "$folder/stop"
  wait "${writer_ids[@]}"
  writer_ids=()

  host "$heir" -c 'SELECT id FROM orders' | sort >"$folder/there"
  writes 0 | awk '$2 == "ok" { print $3 }' | sort >"$folder/promised"
  writes 0 | awk '$2 == "error" && !/08007/ { print $3 }' | sort >"$folder/denied"
  check "$([ -z "$(comm -23 "$folder/promised" "$folder/there")" ] && echo true)" "all $(wc -l <"$folder/promised") acknowledged writes are there"
  check "$([ -z "$(comm -12 "$folder/denied" "$folder/there")" ] && echo true)" "none that was reported as failed is there (08007 says: not known)"
}

show_cluster() {
  local number
  for number in $(seq "$writers"); do
    write_on "$number" &
    writer_ids+=($!)
  done
  writes_go_on 30 || check false "writes go on"
  show_switchover
  show_failover
  echo "== SHOW HOSTS on the console: port, role, status, timeline, lag, sync state, problem"
  show_hosts || shown=false
}

end_cluster() {
  local number
  touch "$folder/stop"
  if [ ${#writer_ids[@]} -gt 0 ]; then kill -s TERM "${writer_ids[@]}" 2>/dev/null; wait "${writer_ids[@]}" 2>/dev/null; fi
  for number in 1 2 3; do
    if [ -e "$(data_of "$number")/postmaster.pid" ]; then control "$number" -w -t 10 -m immediate stop >/dev/null 2>&1; fi
  done
}
