#!/bin/bash
# Runs the simulation and the unit tests of the rules with one bug of common/plant.h at a time, and shows who finds it. A bug that the
# simulation does not find within a minute is a failure, and so is anything that the same build without a bug finds in as many seeds.
#   tests/sim/planted.sh [NAME...]     default: all of them; SECONDS_EACH=s; REGIMES=none: let each seed choose its regime, whatever the bug
# One build (FLAVOUR=planted) has them all; the environment chooses.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
SECONDS_EACH=${SECONDS_EACH:-60}
base=build/planted
logs=$base/planted-logs
mkdir -p "$logs"

# Where a bug shows soonest. All others show soon in the regimes that seeds fall into; so do these, later.
declare -A regimes=(
    [overtaken_row_is_no_invalidation]=crossing [overtaken_row_marks_no_fills]=crossing [drop_keeps_fills]=crossing [drop_keeps_record]=crossing
    [compare_versions_of_suspects]=failover [cache_what_others_say]=failover [old_copies_are_not_told]=hot_blind [replica_ignores_lineage]=failover_replica
    [replica_ignores_lsn]=replica_behind [replica_lsn_same_statement]=replica_behind [replica_ignores_recent_keys]=replica_behind
    [row_from_primary_is_no_news]=replica_behind [replica_own_ack_is_no_news]=replica_behind [replica_floor_begins_late]=replica_behind
    [replica_survives_gap]=replica_behind [replica_floor_never_ages]=replica_behind [replica_row_ahead]=replica_ahead)
[ "${REGIMES:-}" != none ] || regimes=()

mapfile -t names < <(sed -n 's/^ *PLANT_\([a-z_]*\)\( = 1\)\?,.*/\1/p' common/plant.h)
tests=()
for test in tests/unit/test_{through_*,replica,store_replica,distrust,feed,handlers_read,topology,upstream,gather,client,client_multi}.c; do
    [ ! -e "$test" ] || tests+=("$base/tests/$(basename "$test" .c)")
done
make -s -j"$(nproc)" FLAVOUR=planted $base/tests/sim/simulate "${tests[@]}"

# Each unit test that fails, one a line. They wait more than they work.
unit_failures() { # name
    { printf '%s\n' "${tests[@]}" | RINGFENCE_PLANT=$1 xargs -P 8 -n 1 timeout -k 5 60 2>&1 || true; } |
        sed -n 's/^\[\(FAIL\|----\)\] \([a-z_]*::[a-z_0-9]*\).*/\2/p' | sort -u
}

wanted() { # name
    [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $1 "* ]]
}

only=("$@")
for name in "$@"; do
    [[ " ${names[*]} " == *" $name "* ]] || { echo "$name is not in common/plant.h" >&2 && exit 2; }
done
by_both=0 by_simulation=0 by_unit=0 lost=0
declare -A seeds_max=()
printf '%-34s %-16s %-60s %s\n' "planted" "regime" "the simulation" "unit tests that fail"
for name in "${names[@]}"; do
    wanted "$name" || continue
    grep -q "PLANTED($name)" common/*.c node/*.c proxy/*.c || { echo "$name is planted nowhere" >&2 && exit 1; }
    log=$logs/$name.log
    regime=${regimes[$name]:-}
    unit_failures "$name" >"$logs/$name.unit" &
    RINGFENCE_PLANT=$name timeout -k 5 $((SECONDS_EACH + 30)) $base/tests/sim/simulate --seeds 1000000 --failures 1 \
        --seconds "$SECONDS_EACH" ${regime:+--regime "$regime"} >"$log" 2>&1 || true
    wait
    failures=$(wc -l <"$logs/$name.unit")
    found=$(sed -n 's/^\(seed [0-9]*: .*\)/\1/p' "$log" | head -n 1 | cut -c 1-60)
    if [ -n "$found" ]; then
        seed=${found#seed } seed=${seed%%:*}
        [ "$seed" -le "${seeds_max[${regime:-drawn}]:-0}" ] || seeds_max[${regime:-drawn}]=$seed
    fi
    case "${found:+s}$([ "$failures" -eq 0 ] || echo u)" in
    su) by_both=$((by_both + 1)) ;;
    s) by_simulation=$((by_simulation + 1)) ;;
    u) by_unit=$((by_unit + 1)) ;;
    *) lost=$((lost + 1)) ;;
    esac
    printf '%-34s %-16s %-60s %s\n' "$name" "${regime:-drawn}" "${found:-not found in $(sed -n 's/^\([0-9]*\) seeds from.*/\1/p' "$log") seeds}" "$failures"
done
echo "without a bug, the same seeds and tests:"
clean=0
for regime in "${!seeds_max[@]}"; do
    [ "$regime" = drawn ] && of=() || of=(--regime "$regime")
    said=$($base/tests/sim/simulate --seeds "${seeds_max[$regime]}" "${of[@]}" 2>>"$logs/none.log") || clean=1
    echo "$regime: $(tail -n 1 <<<"$said")"
done
unit_failures none >"$logs/none.unit"
[ ! -s "$logs/none.unit" ] || { cat "$logs/none.unit" && clean=1; }
echo "planted bugs: $((by_both + by_simulation + by_unit + lost)); found by simulation and unit tests: $by_both, by the simulation alone: $by_simulation," \
    "by unit tests alone: $by_unit, by nobody: $lost"
[ "$lost" -eq 0 ] && [ "$by_unit" -eq 0 ] && [ "$clean" -eq 0 ]
