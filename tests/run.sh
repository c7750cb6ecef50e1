#!/bin/bash
# Runs what `make tests` built and sums it up; the last line is `N passed, N failed`.
#   tests/run.sh [unit] [sim] [integration] [chaos] [cli] [clients]     default: all of them
# What failed is named again before that, each with the first lines that say why.
# FLAVOUR chooses the build; PROGRAMS_FLAVOUR that of the test programs, if theirs is another than the daemons'. A crash, a hang, a sanitizer's report and a program that ran nothing are failures.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
flavour=${FLAVOUR:-release}
built=build/${PROGRAMS_FLAVOUR:-$flavour}
logs=build/$flavour/test-logs
reports=$PWD/$logs/sanitizer
rm -rf "$logs"
mkdir -p "$reports"
export FLAVOUR=$flavour
export ASAN_OPTIONS="log_path=$reports/asan:detect_leaks=1:abort_on_error=0:exitcode=99"
export UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="log_path=$reports/tsan:halt_on_error=0:exitcode=66:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp"
passed=0 failed=0 failures=""

note() { # name passed failed why
    passed=$((passed + $2)) failed=$((failed + $3))
    printf '%-44s %4d passed, %d failed%s\n' "$1" "$2" "$3" "${4:+   $4}"
    [ "$3" -eq 0 ] || failures+="$1: ${4:-$3 failed}"$'\n'
}

# The first lines of a log that say what failed: Criterion's, a client's, a script's.
complaints() { # log
    grep -aE '^\[(FAIL|CRASH|TIMEOUT|ERR )\]|^\[----\] +[^ ]|^ *(FAIL|not ok)|ERROR: |runtime error' "$1" | head -n 6 | cut -c 1-300 | sed 's/^/    /'
}

# What a program says of itself: Criterion's synthesis, or `N passed, N failed`.
judge() { # name status log
    local name=$1 status=$2 log=$3 good=0 bad=0 why="" line
    if line=$(grep -ao 'Tested: [0-9]* | Passing: [0-9]* | Failing: [0-9]*' "$log" | tail -n 1) && [ -n "$line" ]; then
        good=${line#*Passing: } good=${good%% *} bad=${line##*Failing: }
    elif line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1) && [ -n "$line" ]; then
        good=${line%% *} bad=${line#*, } bad=${bad%% *}
    else
        why="said nothing of its tests"
    fi
    [ "$status" -le 128 ] || why="ended by signal $((status - 128))"
    [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || why="hung, and was stopped"
    [ "$good" -ne 0 ] || [ "$bad" -ne 0 ] || why=${why:-ran nothing}
    [ "$status" -eq 0 ] || [ "$bad" -ne 0 ] || why=${why:-ended with status $status}
    if [ -n "$(ls -A "$reports")" ]; then
        why="sanitizer report"
        cat "$reports"/* >>"$log"
        rm -f "$reports"/*
    fi
    [ -z "$why" ] || bad=$((bad + 1))
    note "$name" "$good" "$bad" "$why"
    [ "$bad" -ne 0 ] || return 0
    tail -n 60 "$log"
    line=$(complaints "$log")
    failures+=${line:+$line$'\n'}
}

run() { # seconds name command...
    local seconds=$1 name=$2 log
    shift 2
    log=$logs/${name//\//_}.log
    timeout -k 5 "$seconds" "$@" >"$log" 2>&1 </dev/null
    judge "$name" $? "$log"
}

programs() { # folder
    find "$1" -maxdepth 1 -type f -executable 2>/dev/null | sort
}

unit() {
    local program
    for program in $(programs "$built/tests"); do
        run 300 "unit/$(basename "$program")" "$program"
    done
}

sim() {
    local program
    for program in $(programs "$built/tests/sim"); do
        run 300 "sim/$(basename "$program")" "$program"
    done
}

# The shared stack that most integration tests use.
stack_up() {
    stack=$(mktemp -d /var/tmp/rf-test-XXXXXX)
    local tries
    for tries in 1 2 3 4 5; do
        PROXY_PORT=$((20000 + RANDOM % 10000)) ctl/stack.sh up "$stack" >"$logs/stack.$tries.log" 2>&1 && return 0
    done
    cat "$logs"/stack.*.log
    return 1
}

stack_down() {
    [ -z "${stack:-}" ] || ctl/stack.sh down "$stack" >/dev/null 2>&1
    rm -rf "${stack:-}"
    stack=""
}

integration() {
    local program
    [ -n "$(programs "$built/tests/integration")" ] || return 0
    # How fast a busy machine is is not what is tested; a test of what is promised has a stack of its own, as it comes.
    NODE_ARGS="--read-timeout-ms 9000 --write-timeout-ms 15000" \
        PROXY_ARGS="--request-timeout-ms 10000 --write-timeout-ms 18000" stack_up || { note integration 0 1 "the stack did not start"; return; }
    export RINGFENCE_TEST_RUN_DIR=$stack
    for program in $(programs "$built/tests/integration"); do
        run 600 "integration/$(basename "$program")" "$program" -j1
    done
    stack_down
    unset RINGFENCE_TEST_RUN_DIR
    if [ -n "$(ls -A "$reports")" ]; then
        cat "$reports"/* && rm -f "$reports"/*
        note integration/daemons 0 1 "sanitizer report"
    fi
}

chaos() {
    local program
    for program in $(programs "$built/tests/chaos"); do
        run 300 "chaos/$(basename "$program")" "$program"
    done
}

cli() {
    local script
    for script in tests/cli/*.sh; do
        [ ! -e "$script" ] || run 300 "cli/$(basename "$script")" "$script"
    done
}

clients() {
    [ ! -e tests/clients/run.sh ] || run 900 clients tests/clients/run.sh
}

trap 'stack_down' EXIT
trap 'exit 1' INT TERM HUP
[ $# -gt 0 ] || set -- unit sim integration chaos cli clients
for kind; do
    case "$kind" in
    unit | sim | integration | chaos | cli | clients) "$kind" ;;
    *)
        sed -n '2,4s/^# //p' "$0" >&2
        exit 2
        ;;
    esac
done
[ $((passed + failed)) -ne 0 ] || failed=1
[ -z "$failures" ] || printf 'What failed:\n%s' "$failures"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
