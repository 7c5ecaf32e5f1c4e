#!/usr/bin/env bash
# Builds and tests everything: scripts/test.sh [--quick] [filter…]
#   --quick   leaves out the tests with the trait Category=Long
#   filter    runs the tests whose full name (namespace, class, method) contains it; several: any of them
# What matters to the I/O threads is tested on both engines, epoll and io_uring, where the kernel allows it. POOLER_IO_ENGINE,
# when set, is the engine of all other tests.
# POOLER_BINARY, when set, is tested instead of a freshly published Pooler.
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only if all is well.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

quick=false filters=()
for argument in "$@"; do
  case $argument in
    --quick) quick=true ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option $argument" ;;
    *) filters+=("$argument") ;;
  esac
done

# install_node_packages FOLDER: what its package-lock.json names, unless it is there.
install_node_packages() {
  local folder=$1
  [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] || npm ci --silent --no-audit --no-fund --prefix "$folder"
}

need postgresql aot
cd "$root" || exit 1
# Without a driver its test fails; without a version of PostgreSQL its tests are skipped, and say so.
(need node python libpq java) && install_node_packages tests/Drivers/node || say "not every driver is there"
need openssl
(need node) && install_node_packages tests/Manifests || say "without Node.js and its packages the tests of manifests fail"
(need prometheus systemd) || say "without Prometheus or systemd their tests fail or are skipped"
(need slapd) || say "without slapd the tests of LDAP fail"
scripts/postgres.sh 15 16 17 18 || say "not every version of PostgreSQL is there"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

passed=0 failed=0 skipped=0 ran=0

# What failed, once more, so that the end of a long output tells.
show_failures() {
  if [ -s "$results/failures" ]; then
    printf '%s\n' "== failed"
    cat "$results/failures"
  fi
}

finish() {
  show_failures
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] && [ "$ran" -gt 0 ]
  exit
}
broken() {
  printf '%s\n' "FAILED: $*" | tee -a "$results/failures"
  failed=$((failed + 1))
}

if [ -z "${POOLER_BINARY-}" ]; then
  (publish_pooler) || { broken "Pooler could not be published"; finish; }
  export POOLER_BINARY=$root/artifacts/pooler/pooler
fi
[ -x "$POOLER_BINARY" ] || { broken "$POOLER_BINARY cannot be run"; finish; }
printf '%s\n' "binary under test: $POOLER_BINARY"

# build_project NAME
build_project() {
  [ -f "tests/$1/$1.csproj" ] || { broken "$1: no such project"; return 1; }
  run_dotnet build "tests/$1" -c Release -v quiet -clp:NoSummary || { broken "$1 does not build"; return 1; }
}

# run_project NAME [class…]: runs tests/NAME, or these classes of it, and adds its counts.
run_project() {
  local name=$1 xml=$results/$1.xml status counts p f s e
  shift
  printf '%s\n' "== $name${POOLER_IO_ENGINE:+ on $POOLER_IO_ENGINE}"
  rm -f "$xml"

  local arguments=(-noLogo -noColor -noAutoReporters -reporter verbose -longRunning 120 -xml "$xml")
  if $quick; then arguments+=(-trait- Category=Long); fi
  for class in "$@"; do arguments+=(-class "$class"); done
  for filter in ${filters+"${filters[@]}"}; do arguments+=(-method "*$filter*"); done
  "tests/$name/bin/Release/net10.0/$name" "${arguments[@]}" | grep --line-buffered -v " \[STARTING\]$" | tee "$results/output"
  status=${PIPESTATUS[0]}
  # A test's own lines stand further in than its name.
  awk '/^    [^ ]/ { failing = / \[FAIL\]$/ } failing' "$results/output" >>"$results/failures"

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

# Whether kernel and sandbox allow io_uring here: a test of the ring says so by being skipped or not.
io_uring_is_allowed() {
  tests/Pooler.Tests/bin/Release/net10.0/Pooler.Tests -noLogo -noColor -noAutoReporters -reporter quiet \
    -method '*.RingTests.NoCompletionIsLostWhenTheirRingIsFull' -xml "$results/ring.xml" >/dev/null 2>&1
  grep -q '<assembly [^>]* passed="1"' "$results/ring.xml" 2>/dev/null
}

# What the engines have a part in, again on the one that was not used yet: the unit tests take epoll by themselves, the program
# io_uring. Without the long ones, which would take as long again.
run_on_other_engine() {
  if ! io_uring_is_allowed; then
    printf '%s\n' "== io_uring is refused here: nothing is tested on it"
    return
  fi
  local units=io_uring program=epoll quick=true
  case ${POOLER_IO_ENGINE-} in
    io_uring) units=epoll ;;
    epoll) program=io_uring ;;
  esac
  POOLER_IO_ENGINE=$units run_project Pooler.Tests 'Pooler.Tests.Net.*' 'Pooler.Tests.Session.*'
  POOLER_IO_ENGINE=$program run_project Pooler.IntegrationTests '*.OwnershipTests' '*.ThreadMoveTests' '*.CleanUpTests' \
    '*.CopyAndPipelineTests' '*.LargeTransferTests' '*.ChurnTests'
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

for project in Pooler.Tests Pooler.IntegrationTests; do
  build_project "$project" && run_project "$project"
done
run_on_other_engine
if [ ${#filters[@]} -eq 0 ]; then check_budgets; fi
if [ "$ran" -eq 0 ] && [ "$failed" -eq 0 ]; then broken "no test ran"; fi
finish
