#!/usr/bin/env bash
# The image of Dockerfile without a container engine: the published binary and the libraries it loads in an empty root, run there as
# the image's user with the image's environment, the root read-only.
#   scripts/container.sh sizes                             what the image's parts weigh, in bytes
#   scripts/container.sh run [NAME=value…] [-- argument…]  runs it as root would run a container; the network is this machine's
set -euo pipefail
. "$(dirname "$0")/lib.sh"

binary=${POOLER_BINARY:-$root/artifacts/pooler/pooler}
[ -x "$binary" ] || die "$binary cannot be run: publish it, or set POOLER_BINARY"

# What the binary links to, and what .NET loads by name when TLS or SCRAM is asked for, with what these link to.
loaded() {
  local openssl
  openssl=$(/sbin/ldconfig -p | sed -n 's/.* => \(.*\/lib\(ssl\|crypto\)\.so\.3\)$/\1/p')
  [ -n "$openssl" ] || die "OpenSSL 3 (libssl3) is missing"
  # shellcheck disable=SC2086 # one word a library
  { printf '%s\n' $openssl; ldd "$binary" $openssl | grep -o '/[^ :]*\.so[^ :]*'; } | sort -u
}

# What the base image holds, by its recipe: slices of libc6, libgcc-s1, libssl3 and libstdc++6, and the certificates of authorities.
# They are added up from this machine's packages of these names.
base() {
  dpkg -L libc6 libgcc-s1 libssl3 libstdc++6 | grep -E '/(lib[^/]*|ld-linux[^/]*)\.so(\.[0-9.]+)?$'
  printf '%s\n' /etc/ssl/certs/ca-certificates.crt
}
bytes() { xargs -r readlink -f | sort -u | xargs -r stat -c %s | awk '{ sum += $1 } END { print sum + 0 }'; }

sizes() {
  local own libraries added
  own=$(printf '%s\n' "$binary" | bytes) libraries=$(loaded | bytes) added=$(base | bytes)
  printf '%-32s %9d measured\n' 'binary' "$own" 'libraries it loads' "$libraries"
  printf '%-32s %9d measured, run by this script\n' 'binary and libraries' $((own + libraries))
  printf '%-32s %9d added up from packages, not pulled\n' 'base image' "$added"
  printf '%-32s %9d added up\n' 'image' $((own + added))
}

# The values of ENV and USER.
image_environment() { sed -n '/^ENV /,/[^\\]$/p' "$root/Dockerfile" | grep -o '[A-Z_]*=[^ \\]*'; }
image_user() { sed -n 's/^USER //p' "$root/Dockerfile"; }

run() {
  local variables=() at=/mnt
  while [ $# -gt 0 ] && [ "$1" != -- ]; do variables+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  [ "$(id -u)" -eq 0 ] || die "run: only root can make a root"
  mapfile -t image < <(image_environment)

  # The mounts are in a namespace of their own and go with the process. What an engine hands in is there: /proc, devices, names of
  # hosts, and /run/secrets if SECRETS names a folder.
  # shellcheck disable=SC2016 # expanded by the inner shell
  exec unshare --mount sh -euc '
    at=$1 binary=$2 libraries=$3 secrets=$4; shift 4
    mount -t tmpfs -o mode=755 tmpfs $at
    mkdir -p $at/usr/local/bin $at/etc/ssl/certs $at/proc $at/dev $at/run/secrets
    cp "$binary" $at/usr/local/bin/pooler
    for file in $libraries; do mkdir -p "$at${file%/*}"; cp -L "$file" "$at$file"; done
    cp /etc/ssl/certs/ca-certificates.crt $at/etc/ssl/certs/
    cp /etc/hosts /etc/resolv.conf $at/etc/
    mount --bind /proc $at/proc
    for device in null urandom; do touch $at/dev/$device; mount --bind /dev/$device $at/dev/$device; done
    [ -z "$secrets" ] || mount --bind "$secrets" $at/run/secrets
    mount -o remount,ro $at
    exec "$@"' sh "$at" "$binary" "$(loaded)" "${SECRETS-}" \
    env -i "${image[@]}" ${variables+"${variables[@]}"} "$(command -v chroot)" --userspec="$(image_user)" --groups= "$at" /usr/local/bin/pooler "$@"
}

case ${1-} in
  sizes) sizes ;;
  run) shift; run "$@" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 1 ;;
esac
