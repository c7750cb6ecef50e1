#!/bin/bash
# Real client libraries against a running stack.
#   [SEQUENCES=250] tests/clients/run.sh [DIR] [NAME...]   DIR: of ctl/stack.sh, with its env file; without one a stack is started, and stopped
# NAME: which of redis_cli tools redis_py ioredis node_redis hiredis differential; all without one.
# Needs what `ctl/packages.sh test` installs, and Node.js 20 or later with npm: where there is none, its two clients are
# skipped, which is a failure in CI. The Node.js libraries (package.json) go to build/clients.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
tests=$here/tests/clients
build=$here/build/clients
all_clients=(redis_cli tools redis_py ioredis node_redis hiredis differential)
passed=0 failed=0 started=

stop_stack() {
    [ -z "$started" ] || "$here/ctl/stack.sh" down "$dir"
    [ -z "$started" ] || rm -rf "$dir"
}

start_stack() {
    dir=$(mktemp -d /var/tmp/rf-clients-XXXXXX)
    trap stop_stack EXIT
    started=yes
    # What is tested here is not how fast a busy machine's disk is.
    export NODE_ARGS="--read-timeout-ms 9000 --write-timeout-ms 25000"
    export PROXY_ARGS="--request-timeout-ms 10000 --write-timeout-ms 30000"
    for _ in {1..10}; do
        PROXY_PORT=$((20000 + RANDOM % 12000)) "$here/ctl/stack.sh" up "$dir" && return
    done
    exit 1
}

# ---- what a client needs ----

has_node() {
    [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20' 2>/dev/null)" = true ] && command -v npm >/dev/null
}

install_node_modules() {
    mkdir -p "$build"
    if ! cmp -s "$tests/package.json" "$build/package.json"; then
        rm -rf "$build/node_modules" "$build/package.json"
        cp "$tests/package.json" "$build/package.new.json"
        mkdir -p "$build/npm" && mv "$build/package.new.json" "$build/npm/package.json"
        (cd "$build/npm" && npm install --no-package-lock --no-audit --no-fund --silent) >&2 || return 1
        mv "$build/npm/node_modules" "$build/" && mv "$build/npm/package.json" "$build/"
    fi
}

build_hiredis() {
    local cc
    read -ra cc <<<"${CC:-gcc}" # perhaps two words: ccache gcc
    mkdir -p "$build"
    "${cc[@]}" -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g "$tests/hiredis.c" -o "$build/hiredis" \
        -lhiredis -levent_core
}

# ---- running ----

version_of() { # name
    case "$1" in
    redis_cli | tools) redis-cli --version ;;
    redis_py) echo "redis-py $(/usr/bin/python3 -c 'import redis; print(redis.__version__)')" ;;
    ioredis | node_redis)
        echo "$1 $(node -p 'require(process.argv[1] + "/package.json").version' "${1#node_}"), node $(node --version)"
        ;;
    hiredis) echo "hiredis $(pkg-config --modversion hiredis)" ;;
    differential) redis-server --version ;;
    esac
}

run_client() { # name
    case "$1" in
    redis_cli | redis_py | tools) timeout -k 5 300 /usr/bin/python3 "$tests/$1.py" ;;
    differential) timeout -k 5 300 /usr/bin/python3 "$tests/differential.py" --sequences "${SEQUENCES:-250}" ;;
    ioredis | node_redis) install_node_modules && timeout -k 5 300 node "$tests/$1.js" ;;
    hiredis) build_hiredis && timeout -k 5 300 "$build/hiredis" ;;
    *)
        echo "no client $1" >&2
        return 2
        ;;
    esac
}

# A client's own last line counts; one that ends without it, or badly without a failure, is one failure more.
run_and_count() { # name
    local log=$build/$1.log line good bad status=0
    echo "== $1"
    if [[ $1 = ioredis || $1 = node_redis ]] && [ "${CI:-}" != true ] && ! has_node; then
        echo "   skipped: there is no Node.js 20 with npm here"
        return
    fi
    run_client "$1" >"$log" 2>&1 || status=$?
    grep -v '^ok - ' "$log" | sed '$d' || true
    line=$(tail -n 1 "$log")
    good=0 bad=1
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
        [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
        [ "$good" -gt 0 ] || [ "$bad" -gt 0 ] || bad=1
    else
        echo "not ok - $1 ended with status $status: $line"
    fi
    echo "   $(version_of "$1" 2>/dev/null || echo "$1 of unknown version"): $good passed, $bad failed"
    passed=$((passed + good)) failed=$((failed + bad))
}

if [ $# -gt 0 ] && [ -d "$1" ]; then
    dir=$1
    shift
else
    start_stack
fi
# shellcheck source=/dev/null
. "$dir/env"
export RF_PROXY_PORT=$PROXY_PORT RF_RING_FILE=$RING_FILE RF_PROXY_BIN=$here/build/${FLAVOUR:-release}/bin/ringfence-proxy
export PGHOST PGPORT PGUSER PGDATABASE RF_TABLE
export NODE_PATH=$build/node_modules
mkdir -p "$build"
[ $# -gt 0 ] || set -- "${all_clients[@]}"
for client in "$@"; do
    run_and_count "$client"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
