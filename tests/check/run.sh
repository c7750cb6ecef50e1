#!/bin/bash
# The rules of the house; `make check` builds what they look at. The last line is `N passed, N failed`.
#   tests/check/run.sh [NAME...]    NAME: layers headers format texts sizes docs; all without one
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
passed=0 failed=0
export PYTHONDONTWRITEBYTECODE=1
export RF_BIN=$PWD/build/${FLAVOUR:-release}/bin

run() { # name command...
    local name=$1 out status=0 line good=0 bad=1
    shift
    out=$("$@" 2>&1) || status=$?
    line=$(tail -n 1 <<<"$out")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
        if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; }; then
            bad=1
            echo "not ok - $name ended with status $status"
        fi
        out=$(sed '$d' <<<"$out")
    else
        echo "not ok - $name ended with status $status and no verdict"
    fi
    grep -vE '^(ok - .*)?$' <<<"$out"
    printf '%-10s %4d passed, %d failed\n' "$name" "$good" "$bad"
    passed=$((passed + good)) failed=$((failed + bad))
}

[ $# -gt 0 ] || set -- layers headers format texts sizes docs
for name; do
    case "$name" in
    layers | texts) run "$name" "tests/check/$name.py" ;;
    docs) run docs tests/check/docs.py ;;
    sizes) run sizes tests/check/sizes.py build/debug/lib.a ;;
    headers | format) run "$name" "tests/check/$name.sh" ;;
    *)
        echo "no check $name" >&2
        exit 2
        ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
