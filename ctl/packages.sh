#!/bin/bash
# Installs the Debian packages that a step needs, and only those that are missing.
#   ctl/packages.sh build|test|check|ci|bench
# Exit 5, with the exact line to run, where it may not install.
set -euo pipefail

build=(gcc make pkg-config libevent-dev libpq-dev libxxhash-dev libjansson-dev libssl-dev postgresql postgresql-client redis-tools)
tests=(libcriterion-dev libhiredis-dev python3-redis redis-server pgbouncer prometheus-redis-exporter)
checks=(clang-format shellcheck)
fuzz=(clang-14 libclang-rt-14-dev)
bench=(redis-server nutcracker memcached valgrind libhiredis-dev)

case "${1:-}" in
build) wanted=("${build[@]}") ;;
test) wanted=("${build[@]}" "${tests[@]}") ;;
check) wanted=("${build[@]}" "${tests[@]}" "${checks[@]}") ;;
ci) wanted=("${build[@]}" "${tests[@]}" "${checks[@]}" "${fuzz[@]}") ;;
bench) wanted=("${build[@]}" "${bench[@]}") ;;
*)
    echo "usage: ctl/packages.sh build|test|check|ci|bench" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
    if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing+=("$package")
    fi
done
[ "${#missing[@]}" -eq 0 ] && exit 0

line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "These packages are missing. Run this as root, then try again:" >&2
    echo "    $line" >&2
    exit 5
fi
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here. The packages, by their Debian names: ${missing[*]}" >&2
    exit 5
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# A private cluster is all we need: no 'main' cluster on port 5432, no service of redis, nutcracker or memcached, that nobody asked for.
if printf '%s\n' "${missing[@]}" | grep -q '^postgresql$' && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
install() {
    # shellcheck disable=SC2086 # the line is words on purpose: it is what the user is shown
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive $line >/tmp/ringfence-apt.$$ 2>&1
}
if ! install; then
    "${as_root[@]}" apt-get update -qq || true
    if ! install; then
        tail -n 20 /tmp/ringfence-apt.$$ >&2
        rm -f /tmp/ringfence-apt.$$
        echo "could not install; the line was: $line" >&2
        exit 5
    fi
fi
rm -f /tmp/ringfence-apt.$$
