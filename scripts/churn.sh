#!/usr/bin/env bash
# Lets clients and servers come and go for a while, then looks whether everything lent is back: scripts/churn.sh [--minutes N] [--engine epoll|io_uring]
#   --minutes N   how long (20)
#   --engine E    io_engine of the Pooler under test (epoll)
# POOLER_BINARY, when set, is tested instead of a freshly published Pooler.
# Prints what was in use before and after; the exit status is 0 only if it is the same.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

minutes=20 engine=epoll
while [ $# -gt 0 ]; do
  case $1 in
    --minutes | --engine)
      [ $# -gt 1 ] || die "$1 wants a value"
      case $1 in --minutes) minutes=$2 ;; *) engine=$2 ;; esac
      shift ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown option $1" ;;
  esac
  shift
done
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "--minutes wants a number, not $minutes"
case $engine in epoll | io_uring) ;; *) die "--engine wants epoll or io_uring, not $engine" ;; esac

need postgresql aot
cd "$root" || exit 1
if [ -z "${POOLER_BINARY-}" ]; then
  (publish_pooler --if-changed) || exit 1
  export POOLER_BINARY=$root/artifacts/pooler/pooler
fi
[ -x "$POOLER_BINARY" ] || die "$POOLER_BINARY cannot be run"
name=Pooler.IntegrationTests
run_dotnet build "tests/$name" -c Release -v quiet -clp:NoSummary >&2 || die "$name does not build"

printf '%s\n' "$engine, $minutes minutes, $POOLER_BINARY"
POOLER_TEST_CHURN_MINUTES=$minutes POOLER_IO_ENGINE=$engine "tests/$name/bin/Release/net10.0/$name" \
  -noLogo -noColor -noAutoReporters -reporter verbose -showLiveOutput -class '*.ChurnTests' |
  grep --line-buffered -v ' \[STARTING\]$\|^  *\(Discovering\|Discovered\|Starting\|Finished\):' | sed -u 's/^ *.*\[OUTPUT\] //'
exit "${PIPESTATUS[0]}"
