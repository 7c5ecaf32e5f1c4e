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

prepare_proof
printf '%s\n' "$engine, $minutes minutes, $POOLER_BINARY"
export POOLER_TEST_CHURN_MINUTES=$minutes POOLER_IO_ENGINE=$engine
watch_proof -class '*.ChurnTests'
