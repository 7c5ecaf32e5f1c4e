#!/usr/bin/env bash
# Builds and tests everything: scripts/test.sh [--quick] [filter…]
#   --quick   leaves out the tests with the trait Category=Long
#   filter    runs the tests whose full name (namespace, class, method) contains it; several: any of them
# POOLER_BINARY, when set, is tested instead of a freshly published Pooler.
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only if all is well.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

quick=false filters=()
for argument in "$@"; do
  case $argument in
    --quick) quick=true ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option $argument" ;;
    *) filters+=("$argument") ;;
  esac
done

need postgresql aot
cd "$root" || exit 1
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

passed=0 failed=0 skipped=0 ran=0

finish() {
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] && [ "$ran" -gt 0 ]
  exit
}
broken() {
  printf '%s\n' "FAILED: $*"
  failed=$((failed + 1))
}

if [ -z "${POOLER_BINARY-}" ]; then
  (publish_pooler) || { broken "Pooler could not be published"; finish; }
  export POOLER_BINARY=$root/artifacts/pooler/pooler
fi
[ -x "$POOLER_BINARY" ] || { broken "$POOLER_BINARY cannot be run"; finish; }
printf '%s\n' "binary under test: $POOLER_BINARY"

# run_project NAME: builds tests/NAME, runs it, adds its counts.
run_project() {
  local name=$1 xml=$results/$1.xml status counts p f s e
  printf '%s\n' "== $name"
  [ -f "tests/$name/$name.csproj" ] || { broken "$name: no such project"; return; }
  run_dotnet build "tests/$name" -c Release -v quiet -clp:NoSummary || { broken "$name does not build"; return; }

  local arguments=(-noLogo -noColor -noAutoReporters -reporter verbose -longRunning 120 -xml "$xml")
  if $quick; then arguments+=(-trait- Category=Long); fi
  for filter in ${filters+"${filters[@]}"}; do arguments+=(-method "*$filter*"); done
  "tests/$name/bin/Release/net10.0/$name" "${arguments[@]}" | grep --line-buffered -v " \[STARTING\]$"
  status=${PIPESTATUS[0]}

  counts=$(grep -o '<assembly [^>]*>' "$xml" 2>/dev/null | head -n 1)
  attribute() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$counts"; }
  p=$(attribute passed) f=$(attribute failed) s=$(attribute skipped) e=$(attribute errors)
  if [ -z "$p" ] || [ -z "$f" ]; then
    # With a filter a project may have nothing to run.
    if [ $status -eq 0 ] && [ ${#filters[@]} -gt 0 ]; then return; fi
    broken "$name: the runner ended with status $status and left no result"
    return
  fi
  passed=$((passed + p)) failed=$((failed + f + ${e:-0})) skipped=$((skipped + ${s:-0})) ran=$((ran + p + f))
  if [ $((p + f)) -eq 0 ] && [ ${#filters[@]} -eq 0 ]; then broken "$name ran no test"; fi
  if [ $status -ne 0 ] && [ $((f + ${e:-0})) -eq 0 ]; then broken "$name: the runner ended with status $status"; fi
}

# The bytes an operation of the data path may allocate (benchmarks/Pooler.Benchmarks/budgets.json).
check_budgets() {
  local output status counts
  printf '%s\n' "== allocation budgets"
  output=$(run_dotnet run -c Release --project benchmarks/Pooler.Benchmarks -- --budgets 2>&1)
  status=$?
  printf '%s\n' "$output"
  counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' <<<"$output")
  if [ -z "$counts" ] || { [ $status -ne 0 ] && [ "${counts#* }" -eq 0 ]; }; then
    broken "the allocation budgets ended with status $status"
    return
  fi
  passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* })) ran=$((ran + ${counts% *} + ${counts#* }))
}

run_project Pooler.Tests
run_project Pooler.IntegrationTests
if [ ${#filters[@]} -eq 0 ]; then check_budgets; fi
if [ "$ran" -eq 0 ] && [ "$failed" -eq 0 ]; then broken "no test ran"; fi
finish
