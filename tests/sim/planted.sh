#!/bin/bash
# Runs the simulation and the unit tests of the rules with one bug of common/plant.h at a time, and shows who finds it. A bug that nobody
# finds within a minute is a failure, and so is anything that the same build without a bug finds in as many seeds.
#   tests/sim/planted.sh [NAME...]     default: all of them; SECONDS_EACH=s
# One build (FLAVOUR=planted) has them all; the environment chooses.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
SECONDS_EACH=${SECONDS_EACH:-60}
base=build/planted
logs=$base/planted-logs
mkdir -p "$logs"

mapfile -t names < <(sed -n 's/^ *PLANT_\([a-z_]*\)\( = 1\)\?,.*/\1/p' common/plant.h)
tests=()
for test in tests/unit/test_{through_*,replica,store_replica,feed,handlers_read,topology,upstream,gather,client,client_multi}.c; do
    [ ! -e "$test" ] || tests+=("$base/tests/$(basename "$test" .c)")
done
make -s -j"$(nproc)" FLAVOUR=planted $base/tests/sim/simulate "${tests[@]}"

# Each unit test that fails, one a line.
unit_failures() { # name
    local test
    for test in "${tests[@]}"; do
        RINGFENCE_PLANT=$1 timeout -k 5 60 "$test" 2>&1 | sed -n 's/^\[\(FAIL\|----\)\] \([a-z_]*::[a-z_0-9]*\).*/\2/p' | sort -u || true
    done
}

wanted() { # name
    [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $1 "* ]]
}

only=("$@")
for name in "$@"; do
    [[ " ${names[*]} " == *" $name "* ]] || { echo "$name is not in common/plant.h" >&2 && exit 2; }
done
by_both=0 by_simulation=0 by_unit=0 lost=0 seeds_max=1
printf '%-34s %-60s %s\n' "planted" "the simulation" "unit tests that fail"
for name in "${names[@]}"; do
    wanted "$name" || continue
    grep -q "PLANTED($name)" common/*.c node/*.c proxy/*.c || { echo "$name is planted nowhere" >&2 && exit 1; }
    log=$logs/$name.log
    RINGFENCE_PLANT=$name timeout -k 5 $((SECONDS_EACH + 30)) $base/tests/sim/simulate --seeds 1000000 --failures 1 \
        --seconds "$SECONDS_EACH" >"$log" 2>&1 || true
    unit_failures "$name" >"$logs/$name.unit"
    failures=$(wc -l <"$logs/$name.unit")
    found=$(sed -n 's/^\(seed [0-9]*: .*\)/\1/p' "$log" | head -n 1 | cut -c 1-60)
    if [ -n "$found" ]; then
        seed=${found#seed } seed=${seed%%:*}
        [ "$seed" -le "$seeds_max" ] || seeds_max=$seed
    fi
    case "${found:+s}$([ "$failures" -eq 0 ] || echo u)" in
    su) by_both=$((by_both + 1)) ;;
    s) by_simulation=$((by_simulation + 1)) ;;
    u) by_unit=$((by_unit + 1)) ;;
    *) lost=$((lost + 1)) ;;
    esac
    printf '%-34s %-60s %s\n' "$name" "${found:-not found in $(sed -n 's/^\([0-9]*\) seeds from.*/\1/p' "$log") seeds}" "$failures"
done
echo "without a bug, the same seeds and tests:"
clean=0
$base/tests/sim/simulate --seeds "$seeds_max" || clean=1
unit_failures none >"$logs/none.unit"
[ ! -s "$logs/none.unit" ] || { cat "$logs/none.unit" && clean=1; }
echo "planted bugs: $((by_both + by_simulation + by_unit + lost)); found by simulation and unit tests: $by_both, by the simulation alone: $by_simulation," \
    "by unit tests alone: $by_unit, by nobody: $lost"
[ "$lost" -eq 0 ] && [ "$clean" -eq 0 ]
