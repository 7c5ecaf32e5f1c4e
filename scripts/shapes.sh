#!/usr/bin/env bash
# Publishes Pooler in other shapes and measures each beside the one that ships: scripts/shapes.sh [bench.sh option…]
# Each shape is "old" in a run of scripts/bench.sh of its own: main at 64 clients, simple; memory per idle client; start.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

need aot
# Name of a shape, and what dotnet publish is told about it.
shapes=(
  "aot-size=-p:OptimizationPreference=Size"
  "aot-balanced=-p:OptimizationPreference="
  "aot-unordered=-p:IlcOrderFile="
  "aot-unpacked-at-start=-p:PackedRelocations=false"
  "aot-native-cpu=-p:IlcInstructionSet=native"
  "aot-concurrent-gc=-p:ConcurrentGarbageCollection=true"
  "aot-default-gc=-p:SmallYoungGeneration=false"
  "jit=-p:PublishAot=false -p:PublishSingleFile=true -p:SelfContained=true -p:PublishTrimmed=true"
)
(publish_pooler --if-changed) || exit 1
for shape in "${shapes[@]}"; do
  name=${shape%%=*} folder=$root/artifacts/shapes/${shape%%=*}
  say "== $name"
  read -ra options <<<"${shape#*=}"
  run_dotnet publish "$root/src/Pooler" -c Release -o "$folder" --artifacts-path "$folder/build" -v quiet --use-current-runtime "${options[@]}" >&2 ||
    die "dotnet publish failed"
  printf '\n# %s: %s; %s bytes\n\n' "$name" "${shape#*=}" "$(stat -c %s "$folder/pooler")"
  POOLER_BINARY=$root/artifacts/pooler/pooler "$root/scripts/bench.sh" --compare "$folder/pooler" --clients 64 --protocols simple \
    "$@" main idle memory || die "bench.sh failed"
done
