# What the scripts of this folder share; sourced by them, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ordinary_user=pooler-run

# Nothing of a build may stay behind when a script ends, and no telemetry leaves it.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false DOTNET_CLI_USE_MSBUILD_SERVER=0
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "needs root (or sudo) for: $*"
  fi
}

# PostgreSQL refuses to run as root, and so does a pooler: the user they run as instead.
# become_ordinary_user COMMAND… replaces this shell; behind it with & the id is that of the command.
become_ordinary_user() {
  if [ "$(id -u)" -eq 0 ]; then
    exec setpriv --reuid="$ordinary_user" --regid="$ordinary_user" --clear-groups -- "$@"
  fi
  exec "$@"
}
as_ordinary_user() { (become_ordinary_user "$@"); }

# The folder of the newest PostgreSQL server's programs.
find_postgres() {
  local dir
  dir=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -n "$dir" ] && [ -x "$dir/postgres" ] && [ -x "$dir/pgbench" ] && printf '%s\n' "$dir"
}

# need [postgresql] [aot] [pgbouncer] [node] [python] [libpq] [java] [slapd] [openssl] [prometheus] [systemd]: installs what is missing, and asks nothing of apt when nothing is.
need() {
  local what packages=()
  for what in "$@"; do
    case $what in
      postgresql) find_postgres >/dev/null || packages+=(postgresql postgresql-client) ;;
      aot)
        command -v clang >/dev/null || packages+=(clang libc6-dev)
        [ -e /usr/include/zlib.h ] || packages+=(zlib1g-dev)
        ;;
      pgbouncer) command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || packages+=(pgbouncer) ;;
      node) command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm) ;;
      python)
        /usr/bin/python3 -c 'import psycopg' 2>/dev/null || packages+=(python3-psycopg)
        /usr/bin/python3 -c 'import asyncpg' 2>/dev/null || packages+=(python3-asyncpg)
        ;;
      libpq) [ -e /usr/include/postgresql/libpq-fe.h ] || packages+=(libpq-dev) ;;
      java)
        # A JDK, since a program is run from its source.
        command -v javac >/dev/null || packages+=(default-jdk-headless)
        [ -e /usr/share/java/postgresql.jar ] || packages+=(libpostgresql-jdbc-java)
        ;;
      systemd) command -v systemd-analyze >/dev/null || packages+=(systemd) ;;
      openssl) command -v openssl >/dev/null || packages+=(openssl) ;;
      prometheus) command -v prometheus >/dev/null && command -v promtool >/dev/null || packages+=(prometheus) ;;
      slapd)
        # The server is started by the tests alone; clients ask it through libldap, which comes with it.
        [ -x /usr/sbin/slapd ] || packages+=(slapd)
        ;;
      *) die "need: unknown: $what" ;;
    esac
  done
  command -v dotnet >/dev/null || die "the .NET SDK named in global.json is missing"
  if [ ${#packages[@]} -gt 0 ]; then
    say "installing ${packages[*]}"
    install_packages "${packages[@]}" || die "could not install ${packages[*]}"
  fi
  if [ "$(id -u)" -eq 0 ] && ! getent passwd "$ordinary_user" >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$ordinary_user"
  fi
}

install_packages() {
  local policy= log apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0) own=/etc/postgresql-common/createcluster.d/zz-pooler.conf
  log=$(mktemp)
  {
    as_root "${apt[@]}" update
    # The packages would make and start a cluster of their own, which nobody asked for.
    case " $* " in *" postgresql "* | *" pgbouncer "*)
      as_root "${apt[@]}" install --no-install-recommends postgresql-common &&
        as_root mkdir -p "${own%/*}" && echo 'create_main_cluster = false' | as_root tee "$own"
    esac
    # Nor is a directory to be made and served, or this machine to be watched (invoke-rc.d asks policy-rc.d; a machine may have one of its own).
    case " $* " in *" slapd "*) echo 'slapd slapd/no_configuration boolean true' | as_root debconf-set-selections ;; esac
    case " $* " in *" slapd "* | *" prometheus "*)
      if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" && as_root chmod 755 "$policy"
      fi
    esac
    as_root "${apt[@]}" install --no-install-recommends "$@"
  } >"$log" 2>&1
  local status=$?
  if [ -e "$own" ]; then as_root rm -f "$own"; fi
  if [ -n "$policy" ]; then as_root rm -f "$policy"; fi
  if [ $status -ne 0 ]; then cat "$log" >&2; fi
  rm -f "$log"
  return $status
}

# dotnet, without the temporary folders it leaves behind.
run_dotnet() {
  local temporary status
  temporary=$(mktemp -d)
  TMPDIR=$temporary dotnet "$@"
  status=$?
  rm -rf "$temporary"
  return $status
}

# publish_pooler [--if-changed]: the native binary, at artifacts/pooler/pooler.
publish_pooler() {
  local binary=$root/artifacts/pooler/pooler changed
  if [ "${1-}" = --if-changed ] && [ -x "$binary" ]; then
    changed=$(find "$root/src" "$root/global.json" \( -name bin -o -name obj \) -prune -o \
      -type f ! -name '*.md' -newer "$binary" -print -quit)
    [ -n "$changed" ] || return 0
  fi
  say "publishing Pooler (native, takes a minute)"
  run_dotnet publish "$root/src/Pooler" -c Release -o "$root/artifacts/pooler" -v quiet >&2 || die "dotnet publish failed"
  [ -x "$binary" ] || die "dotnet publish left no $binary"
  touch "$binary" # an unchanged build keeps its old time, and would be published for ever
}

# A port on 127.0.0.1 nobody listens on, below the range the kernel gives to outgoing connections.
free_port() {
  local port try
  for try in $(seq 100); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return; }
  done
  die "found no free port"
}

# watch_proof CLASS_OR_METHOD… : the arguments choose integration tests, whose output is shown as it comes; the binary is POOLER_BINARY or
# a fresh one. The exit status is theirs.
watch_proof() {
  local name=Pooler.IntegrationTests
  "$root/tests/$name/bin/Release/net10.0/$name" -noLogo -noColor -noAutoReporters -reporter verbose -showLiveOutput "$@" |
    grep --line-buffered -v ' \[STARTING\]$\|^  *\(Discovering\|Discovered\|Starting\|Finished\):' | sed -u 's/^ *.*\[OUTPUT\] //'
  return "${PIPESTATUS[0]}"
}

# prepare_proof: what watch_proof runs.
prepare_proof() {
  need postgresql aot
  cd "$root" || exit 1
  if [ -z "${POOLER_BINARY-}" ]; then
    (publish_pooler --if-changed) || exit 1
    export POOLER_BINARY=$root/artifacts/pooler/pooler
  fi
  [ -x "$POOLER_BINARY" ] || die "$POOLER_BINARY cannot be run"
  run_dotnet build tests/Pooler.IntegrationTests -c Release -v quiet -clp:NoSummary >&2 || die "Pooler.IntegrationTests does not build"
}
