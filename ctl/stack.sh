#!/bin/bash
# A whole Ringfence on this machine: a private PostgreSQL, some nodes, one proxy.
#   ctl/stack.sh up DIR      start in the background; return when all of it answers; write DIR/env
#   ctl/stack.sh down DIR    stop what `up` started, and nothing else
#   ctl/stack.sh run         the same in front: prints how to reach it, opens redis-cli on a terminal, stops everything on leaving
# Settings come from the environment: PROXY_PORT, NODES, FLAVOUR, WORKERS, NODE_ARGS, PROXY_ARGS, PG_LISTEN (a loopback port for TCP, for tests).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bin=$here/build/${FLAVOUR:-release}/bin
ready_seconds=${READY_SECONDS:-60}

die() {
    echo "ringfence: $*" >&2
    exit 1
}

# The start time of a process (field 22 of its stat): a pid that was used again has another one.
start_of() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # split on purpose; the name in brackets may hold blanks, so it is cut off first
    set -- ${stat##*) }
    echo "${20}"
}

note_pid() { # role pid
    echo "$1 $2 $(start_of "$2" || echo 0)" >>"$dir/pids"
}

is_ours() { # pid start
    [ "$(start_of "$1" 2>/dev/null || echo gone)" = "$2" ]
}

# Waits for a command to succeed; says what failed with the end of its log.
wait_for() { # what log command...
    local what=$1 log=$2 until=$((SECONDS + ready_seconds))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$until" ]; then
            echo "ringfence: $what did not answer within $ready_seconds s; the end of its log:" >&2
            tail -n 20 "$log" >&2 || true
            return 1
        fi
        read -rt 0.05 <> <(:) || true
    done
}

# ---- PostgreSQL ----

pg_bin() {
    local found
    found=$(pg_config --bindir 2>/dev/null || true)
    if [ -z "$found" ] || [ ! -x "$found/initdb" ]; then
        found=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    fi
    [ -x "$found/initdb" ] || die "no PostgreSQL server programs found (package postgresql)"
    echo "$found"
}

# initdb and postgres refuse root, so root runs them as the packages' own user, from a folder that he may enter.
as_pg() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && runuser -u postgres -- env -u LC_ALL LANG=C.UTF-8 "$@")
    else
        (cd / && env -u LC_ALL LANG=C.UTF-8 "$@")
    fi
}

start_pg() {
    local postgres
    postgres=$(pg_bin)
    # Short, for the length of a socket's path, and outside of folders that only one user may enter.
    pg_dir=$(mktemp -d /var/tmp/rf-XXXXXX)
    [ "$(id -u)" -ne 0 ] || chown postgres "$pg_dir"
    chmod 0700 "$pg_dir"
    echo "$pg_dir" >"$dir/pg_dir"
    as_pg "$postgres/initdb" -D "$pg_dir/data" -U postgres --auth=trust --no-sync --encoding=UTF8 --locale=C.UTF-8 \
        >"$dir/initdb.log" 2>&1 || { tail -n 20 "$dir/initdb.log" >&2; die "initdb failed"; }
    cat >"$dir/postgresql.add" <<CONF
listen_addresses = '${PG_LISTEN:+127.0.0.1}'
port = ${PG_LISTEN:-5432}
unix_socket_directories = '$pg_dir'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
logging_collector = off
CONF
    as_pg tee -a "$pg_dir/data/postgresql.conf" <"$dir/postgresql.add" >/dev/null
    as_pg "$postgres/pg_ctl" -D "$pg_dir/data" -l "$pg_dir/log" -w -t "$ready_seconds" start >/dev/null 9>&- ||
        { tail -n 20 "$pg_dir/log" >&2; die "PostgreSQL did not start"; }
    pg_pid=$(head -n 1 "$pg_dir/data/postmaster.pid")
    note_pid postgres "$pg_pid"
    export PGHOST=$pg_dir PGPORT=${PG_LISTEN:-5432} PGUSER=postgres PGDATABASE=postgres
    psql -qX -v ON_ERROR_STOP=1 -c 'CREATE DATABASE ringfence' -c 'CREATE ROLE rf_node1 LOGIN' >/dev/null
    export PGDATABASE=ringfence
    psql -qX -v ON_ERROR_STOP=1 -f "$here/configs/schema.sql" -c 'GRANT ringfence_node TO rf_node1' >/dev/null
    psql -qX -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
INSERT INTO ringfence.entry (key, payload) VALUES
    ('flag:new-checkout', '{"enabled": true, "percent": 25}'),
    ('flag:dark-mode', '{"enabled": false}'),
    ('config:search', '{"timeout_ms": 150, "fuzzy": true}'),
    ('greeting', 'hello from PostgreSQL');
SQL
}

# ---- nodes and proxy ----

# Starts a daemon on the first port from $1 on that is free: it binds, nobody probes. Sets `pid` and `port`.
start_daemon() { # first_port log command...
    local log=$2 from=$1 tries=0
    shift 2
    for ((port = from; tries < 200; port++, tries++)); do
        [ "$port" -lt 32768 ] || port=20000
        setsid "$@" --port "$port" >"$log" 2>&1 9>&- </dev/null &
        pid=$!
        if wait_for "$1" "$log" daemon_decided "$log" "$pid"; then
            grep -qE ' (node|proxy)_ready ' "$log" && return 0
            grep -q 'Address already in use' "$log" && [ "${exact_port:-no}" = no ] && continue
        fi
        echo "ringfence: $1 did not start:" >&2
        tail -n 20 "$log" >&2
        return 1
    done
    return 1
}

daemon_decided() { # log pid
    grep -qE ' (node|proxy)_ready ' "$1" || ! kill -0 "$2" 2>/dev/null
}

node_answers() { # port
    redis-cli -p "$1" INFO database 2>/dev/null | tr -d '\r' | grep -q '^feed_up:1' &&
        redis-cli -p "$1" INFO everything | tr -d '\r' | grep -q '^loading:0'
}

proxy_answers() { # every node was heard by it, and a row comes through
    [ "$(redis-cli -p "$PROXY_PORT" INFO ring | tr -d '\r' | sed -n 's/^ring_nodes_heard://p')" = "$NODES" ] &&
        [ "$(redis-cli -p "$PROXY_PORT" EXISTS greeting)" = 1 ]
}

start_nodes() {
    node_ports=() node_pids=()
    local next=$((20000 + RANDOM % 10000))
    echo "# made by ctl/stack.sh; edit it while everything runs" >"$dir/ring.conf"
    for ((i = 1; i <= NODES; i++)); do
        # shellcheck disable=SC2086 # NODE_ARGS is words
        start_daemon "$next" "$dir/node$i.log" "$bin/ringfence-node" --name "node$i" \
            --conninfo "host=$PGHOST port=$PGPORT dbname=$PGDATABASE user=rf_node1" --table ringfence.entry ${NODE_ARGS:-}
        note_pid "node$i" "$pid"
        node_ports+=("$port") node_pids+=("$pid")
        echo "node node$i 127.0.0.1:$port" >>"$dir/ring.conf"
        next=$((port + 1))
    done
    for ((i = 0; i < NODES; i++)); do
        wait_for "node$((i + 1))" "$dir/node$((i + 1)).log" node_answers "${node_ports[$i]}"
    done
}

start_proxy() {
    # shellcheck disable=SC2086 # PROXY_ARGS is words
    start_daemon "$PROXY_PORT" "$dir/proxy.log" "$bin/ringfence-proxy" --ring-file "$dir/ring.conf" \
        --workers "${WORKERS:-0}" ${PROXY_ARGS:-}
    proxy_pid=$pid PROXY_PORT=$port
    note_pid proxy "$proxy_pid"
    wait_for proxy "$dir/proxy.log" proxy_answers
}

write_env() {
    {
        echo "PROXY_PORT=$PROXY_PORT"
        echo "NODE_PORTS=\"${node_ports[*]}\""
        echo "PGHOST=$PGHOST"
        echo "PGPORT=$PGPORT"
        echo "PGUSER=$PGUSER"
        echo "PGDATABASE=$PGDATABASE"
        echo "RF_TABLE=ringfence.entry"
        echo "PROXY_PID=$proxy_pid"
        echo "NODE_PIDS=\"${node_pids[*]}\""
        echo "PG_PID=$pg_pid"
        echo "RING_FILE=$dir/ring.conf"
        echo "NODE_ARGS=\"${NODE_ARGS:-}\""
        echo "PROXY_ARGS=\"${PROXY_ARGS:-}\""
    } >"$dir/env.new"
    mv "$dir/env.new" "$dir/env"
}

# ---- the commands ----

lock() {
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd -P)
    exec 9>"$dir/lock"
    flock -w 120 9 || die "another command works on $dir"
}

runs_already() {
    local role pid start
    [ -e "$dir/pids" ] || return 1
    while read -r role pid start; do
        is_ours "$pid" "$start" && return 0
    done <"$dir/pids"
    return 1
}

up() {
    [ -x "$bin/ringfence-proxy" ] || die "not built: make FLAVOUR=${FLAVOUR:-release}"
    unset "${!LC_@}" "${!PG@}" 2>/dev/null || true
    export LC_ALL=C.UTF-8
    lock
    runs_already && die "$dir runs already: make down RUN_DIR=$dir"
    stop_all
    # Nothing is left behind by a start that fails, wherever it does (an ERR trap is not inherited by functions).
    [ -n "$(trap -p EXIT)" ] || trap 'stop_all' EXIT
    start_pg
    start_nodes
    start_proxy
    write_env
}

# Everything in $dir/pids that is still the process it was: proxy first, PostgreSQL last.
stop_all() {
    local role pid start i pids=()
    if [ -e "$dir/pids" ]; then
        while read -r role pid start; do
            if [ "$role" != postgres ] && is_ours "$pid" "$start"; then
                kill -TERM "$pid" 2>/dev/null || true
                kill -CONT "$pid" 2>/dev/null || true
                pids+=("$pid" "$start")
            fi
        done < <(tac "$dir/pids")
        local until=$((SECONDS + 15))
        for ((i = 0; i < ${#pids[@]}; i += 2)); do
            while is_ours "${pids[i]}" "${pids[i + 1]}"; do
                [ "$SECONDS" -lt "$until" ] || kill -KILL "${pids[i]}" 2>/dev/null || true
                read -rt 0.02 <> <(:) || true
            done
        done
    fi
    if [ -e "$dir/pg_dir" ]; then
        local pg_dir
        pg_dir=$(cat "$dir/pg_dir")
        case "$pg_dir" in
        /var/tmp/rf-??????)
            [ ! -e "$pg_dir/data/postmaster.pid" ] ||
                as_pg "$(pg_bin)/pg_ctl" -D "$pg_dir/data" -m fast -w -t 30 stop >/dev/null 2>&1 ||
                as_pg "$(pg_bin)/pg_ctl" -D "$pg_dir/data" -m immediate -w -t 30 stop >/dev/null 2>&1 || true
            rm -rf "$pg_dir"
            ;;
        esac
    fi
    rm -f "$dir/pids" "$dir/env" "$dir/pg_dir"
}

down() {
    [ -d "$dir" ] || die "$dir is not there"
    unset "${!PG@}" 2>/dev/null || true
    lock
    stop_all
}

print_tour() {
    cat <<TOUR

Ringfence runs: 1 proxy, $NODES nodes, PostgreSQL. Its files are in $dir

  proxy       127.0.0.1:$PROXY_PORT
  redis-cli   redis-cli -p $PROXY_PORT
  psql        psql -h $PGHOST -p $PGPORT -U $PGUSER $PGDATABASE
  ring        $dir/ring.conf   (edit it: it is watched)

Three things to try:
  1. GET flag:new-checkout        then SET it, and see the row in psql: SELECT * FROM ringfence.entry;
  2. in psql:  UPDATE ringfence.entry SET payload = '{"enabled": false}' WHERE key = 'flag:new-checkout';
     and GET it again: the proxy shows the new row.
  3. kill -9 ${node_pids[0]}      (node1)  and GET every flag again: the next node on the ring answers.

TOUR
}

# Whatever ends the shell that is `run`, and be it kill -9: nothing is left behind.
guard() { # pid
    trap '' INT TERM HUP
    tail --pid="$1" -f /dev/null
    [ ! -e "$dir" ] || down
    rm -rf "$dir"
}

run() {
    dir=$(mktemp -d /var/tmp/rf-run-XXXXXX)
    asked_port=${PROXY_PORT:-}
    PROXY_PORT=${asked_port:-6379}
    [ -z "$asked_port" ] || exact_port=yes
    trap 'trap - EXIT INT TERM HUP; echo "stopping ..."; stop_all; rm -rf "$dir"; exit 0' EXIT INT TERM HUP
    up
    flock -u 9
    guard "$$" 9>&- >/dev/null 2>&1 </dev/null &
    print_tour
    if [ -t 0 ] && [ -t 1 ]; then
        echo "Ctrl-D leaves redis-cli, stops everything and deletes it."
        trap '' INT
        redis-cli -p "$PROXY_PORT" || true
    else
        echo "Stop it with Ctrl-C, or kill $$."
        while :; do read -rt 3600 <> <(:) || true; done
    fi
}

NODES=${NODES:-3}
case "${1:-}" in
up)
    dir=${2:?usage: ctl/stack.sh up DIR}
    PROXY_PORT=${PROXY_PORT:-6380} exact_port=yes
    up
    trap - EXIT
    echo "ringfence: up; its addresses are in $dir/env"
    ;;
down)
    dir=${2:?usage: ctl/stack.sh down DIR}
    down
    ;;
run) run ;;
*)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
