#!/usr/bin/env bash
# Lets the primary of a small cluster die again and again under a bank, and says how long writes stood still: scripts/failover.sh [--failovers N] [--engine epoll|io_uring]
#   --failovers N   how often (20): by turns killed and shut down, a standby is promoted each time
#   --engine E      io_engine of the Pooler under test (epoll)
# POOLER_BINARY, when set, is tested instead of a freshly published Pooler.
# Prints for each failover the time from the moment the new primary takes writes (asked directly, each millisecond) to the first
# write that a client has done through Pooler; then their median, least and most, what clients were told, and the longest pause of one.
# The exit status is 0 only if the books are right: nothing done twice, nothing there that was reported failed, nothing acknowledged
# missing but what only the dead primary had. As many switchovers follow, of which no client may hear anything but a pause.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

failovers=20 engine=epoll
while [ $# -gt 0 ]; do
  case $1 in
    --failovers | --engine)
      [ $# -gt 1 ] || die "$1 wants a value"
      case $1 in --failovers) failovers=$2 ;; *) engine=$2 ;; esac
      shift ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown option $1" ;;
  esac
  shift
done
[[ $failovers =~ ^[1-9][0-9]*$ ]] || die "--failovers wants a number, not $failovers"
case $engine in epoll | io_uring) ;; *) die "--engine wants epoll or io_uring, not $engine" ;; esac

prepare_proof
printf '%s\n' "$engine, $failovers failovers, $POOLER_BINARY"
export POOLER_TEST_FAILOVERS=$failovers POOLER_IO_ENGINE=$engine
watch_proof -method '*.FailoverTests.ABankGoesOn' -method '*.FailoverTests.ABankGoesOnThroughSwitchovers'
