#!/bin/bash
# Builds the simulation and the unit tests of the node's rules once per bug of common/plant.h, and shows who finds it. A bug that neither
# finds within a minute is a failure, and so is anything that the build without a bug finds in as many seeds.
#   tests/sim/planted.sh [NAME...]     default: all of them
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
SECONDS_EACH=${SECONDS_EACH:-60}
base=build/release
out=build/planted
mkdir -p "$out"

make -s -j"$(nproc)" FLAVOUR=release $base/tests/sim/simulate
mapfile -t names < <(sed -n 's/^ *PLANT_\([a-z_]*\)\( = 1\)\?,.*/\1/p' common/plant.h)
tests=(tests/unit/test_through_*.c)
for test in "${tests[@]}"; do
    make -s FLAVOUR=release "$base/tests/$(basename "$test" .c)"
done
read -ra cflags < <(make -s FLAVOUR=release planted-flags)
read -ra libs < <(make -s FLAVOUR=release planted-libs)

# The sources that the bug is in, with it; everything else is as it is in every build.
build() { # number name
    local source object objects=()
    while read -r source; do
        object=$out/$2/$(basename "$source" .c).o
        mkdir -p "$out/$2"
        gcc "${cflags[@]}" -DRINGFENCE_PLANT="$1" -c "$source" -o "$object"
        objects+=("$object")
    done < <(grep -l "PLANTED($2)" common/*.c node/*.c proxy/*.c)
    [ ${#objects[@]} -ne 0 ] || { echo "$2 is planted nowhere" >&2; exit 1; }
    gcc "${cflags[@]}" $base/tests/sim/*.o "${objects[@]}" $base/lib.a -o "$out/$2/simulate" "${libs[@]}"
    for test in "${tests[@]}"; do
        gcc "${cflags[@]}" "$base/${test%.c}.o" $base/tests/fakes/{store_fake,through_rig}.o "${objects[@]}" $base/lib.a \
            -o "$out/$2/$(basename "$test" .c)" "${libs[@]}" -lcriterion
    done
}

unit_failures() { # name
    local test failures=0 log=$out/$1/unit.log
    for test in "${tests[@]}"; do
        timeout -k 5 60 "$out/$1/$(basename "$test" .c)" >"$log" 2>&1 || true
        failures=$((failures + $(grep -ac '^\[.*FAIL.*\]' "$log" || true)))
    done
    echo "$failures"
}

by_simulation=0 by_unit=0 lost=0 seeds_max=1
printf '%-34s %-52s %s\n' "planted" "the simulation" "unit tests that fail"
for i in "${!names[@]}"; do
    name=${names[$i]}
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    build $((i + 1)) "$name"
    log=$out/$name/simulate.log
    timeout -k 5 $((SECONDS_EACH + 30)) "$out/$name/simulate" --seeds 1000000 --failures 1 --seconds "$SECONDS_EACH" >"$log" 2>&1 || true
    failures=$(unit_failures "$name")
    found=$(sed -n 's/^seed \([0-9]*\): \([A-Z][-A-Z ]*[A-Z]\):\? .*/seed \1: \2/p; s/^seed \([0-9]*\): \(crashed by signal [0-9]*\).*/seed \1: \2/p; s/^seed \([0-9]*\): \(.*\)/seed \1: \2/p' "$log" | head -n 1 | cut -c 1-52)
    if [ -n "$found" ]; then
        by_simulation=$((by_simulation + 1))
        seed=${found#seed } seed=${seed%%:*}
        [ "$seed" -le "$seeds_max" ] || seeds_max=$seed
    elif [ "$failures" -ne 0 ]; then
        by_unit=$((by_unit + 1))
    else
        lost=$((lost + 1))
    fi
    printf '%-34s %-52s %s\n' "$name" "${found:-not found in $(sed -n 's/^\([0-9]*\) seeds from.*/\1/p' "$log") seeds}" "$failures"
done
echo "without a bug, the same seeds:"
clean=0
$base/tests/sim/simulate --seeds "$seeds_max" || clean=1
echo "planted bugs: $((by_simulation + by_unit + lost)); found by the simulation: $by_simulation, by unit tests alone: $by_unit, by nobody: $lost"
[ "$lost" -eq 0 ] && [ "$clean" -eq 0 ]
