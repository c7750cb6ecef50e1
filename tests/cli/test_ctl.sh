#!/bin/bash
# ringfence-ctl as a program: exit codes, which stream, what a pipe sees. The last line is `N passed, N failed`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
ctl=$PWD/build/${FLAVOUR:-release}/bin/ringfence-ctl
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

# Runs a command; compares its status, and looks for a text (a pattern of grep -E) on one stream while the other one is empty.
expect() { # name status stream pattern command...
    local name=$1 status=$2 stream=$3 pattern=$4 got=0 other=err
    shift 4
    [ "$stream" = out ] || other=out
    "$@" >"$dir/out" 2>"$dir/err" || got=$?
    if [ "$got" -eq "$status" ] && grep -qE -- "$pattern" "$dir/$stream" && [ ! -s "$dir/$other" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name: status $got, not $status, or no '$pattern' on std$stream alone:"
        sed 's/^/    /' "$dir/out" "$dir/err"
    fi
}

printf 'node a 127.0.0.1:1\nnode b 127.0.0.1:2\n' >"$dir/old"
printf 'node a 127.0.0.1:1\nnode b 127.0.0.1:2\nnode c 127.0.0.1:3\n' >"$dir/new"
printf 'node a 127.0.0.1:1\nnode a 127.0.0.1:2\n' >"$dir/bad"

expect "help" 0 out '^usage: ringfence-ctl' "$ctl" --help
expect "version" 0 out '^ringfence-ctl [0-9]+\.[0-9]+\.[0-9]+$' "$ctl" --version
expect "nothing" 2 err '^usage: ringfence-ctl' "$ctl"
expect "unknown" 2 err "unknown command 'ring spin'" "$ctl" ring spin
expect "too few" 2 err '^usage: ringfence-ctl ring diff OLD NEW$' "$ctl" ring diff "$dir/old"
expect "check" 0 out ': fine: 2 nodes, 2 up' "$ctl" ring check "$dir/old"
expect "check the sample" 0 out ': fine: ' "$ctl" ring check configs/ring.conf
expect "bad file" 6 err "^$dir/bad:2: node 'a' stands twice$" "$ctl" ring check "$dir/bad"
expect "no file" 6 err "^$dir/none: No such file or directory$" "$ctl" ring show "$dir/none"
expect "a directory" 6 err "^$dir: cannot be read$" "$ctl" ring check "$dir"
expect "show" 0 out '^a +127\.0\.0\.1:1 +1 +up +[0-9]+\.[0-9]{4}%$' "$ctl" ring show "$dir/old"
expect "diff" 0 out '^added +c 127\.0\.0\.1:3 weight=1 state=up$' "$ctl" ring diff "$dir/old" "$dir/new"
expect "owner" 0 out '^greeting +[ab] +127\.0\.0\.1:[12] +[ab]$' "$ctl" ring owner "$dir/old" greeting
expect "from a pipe" 0 out ': fine: 3 nodes' bash -c "cat '$dir/new' | '$ctl' ring check /dev/stdin"
line() { # words...
    printf 'a password\n' | "$ctl" user line "$@"
}
expect "user line" 0 out '^user app role=write prefix=app: pbkdf2=4096:[0-9a-f]{32}:[0-9a-f]{64}$' line app write app:
expect "user line, a bad role" 2 err 'role=read, role=write or role=admin' line app boss
expect "user line, no password" 2 err 'no password on standard input' bash -c "'$ctl' user line app read </dev/null"
(umask 077 && line app read >"$dir/users")
expect "user check" 0 out ': fine: 1 user$' "$ctl" user check "$dir/users"
chmod 0644 "$dir/users"
expect "user check, mode" 6 err "users: mode 0644 lets others at it: chmod 0600 $dir/users$" "$ctl" user check "$dir/users"
expect "purge, no age" 2 err "'30 days' is no age: a number and s, m, h or d" "$ctl" purge --older-than '30 days'
expect "purge, no such unit" 2 err "'30y' is no age" "$ctl" purge --older-than 30y
expect "purge, nobody there" 1 err 'No such file or directory' "$ctl" purge --older-than 30d "host=$dir dbname=x"
expect "a full disk" 1 err 'could not be written' bash -c "'$ctl' ring show '$dir/old' >/dev/full"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
