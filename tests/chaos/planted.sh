#!/bin/bash
# Runs the daemons with one bug of common/plant.h at a time and shows whether the checker over real processes finds it.
#   tests/chaos/planted.sh [NAME[:REGIME[:FAULTS]]...]     default: those that it is known to find; SECONDS_EACH=s SEEDS='n ...'
# A bug that is not found within SEEDS runs is a failure. The same checker must find nothing without a bug: `make chaos`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
base=build/planted
logs=$base/planted-logs
mkdir -p "$logs"
SECONDS_EACH=${SECONDS_EACH:-8}
[ $# -ne 0 ] || set -- no_program_order:R0 wrong_owner:R0 no_drop_at_other_owners:R0 cache_before_commit:R1:backend \
    nil_for_failure:R4:database trust_without_heartbeat:R4:feed everything_is_nothing:R3:bulk gone_keeps_entry:R3:rows \
    ignore_version:R0 absence_is_kept:R0 resend_sent_write:R1:link nodedown_for_uncertain:R1:node ok_for_uncertain:R1

make -s -j2 FLAVOUR=planted all $base/tests/chaos/test_chaos

found=0 lost=0
printf '%-34s %-8s %s\n' "planted" "regime" "what the checker says"
for word; do
    IFS=: read -r name regime faults <<<"$word"
    grep -q "PLANT_$name\b" common/plant.h || { echo "$name is not in common/plant.h" >&2 && exit 2; }
    said=""
    for seed in ${SEEDS:-1 2 3}; do
        log=$logs/$name.chaos.log
        CHAOS_REGIME=${regime:-R0 R1 R3 R4} CHAOS_SEED=$seed CHAOS_FAULTS=$faults CHAOS_SECONDS=$SECONDS_EACH FLAVOUR=planted RINGFENCE_PLANT=$name \
            timeout -k 5 400 $base/tests/chaos/test_chaos >"$log" 2>&1 || true
        said=$(sed -n 's/^  VIOLATION \([a-z_]*\): .*/\1/p' "$log" | sort | uniq -c | awk '{ printf "%s x%s ", $2, $1 }')
        [ -z "$said" ] || said="seed $seed: $said"
        [ -z "$said" ] || break
    done
    if [ -n "$said" ]; then found=$((found + 1)); else lost=$((lost + 1)); fi
    printf '%-34s %-8s %s\n' "$name" "$regime" "${said:-not found}"
done
echo "planted bugs: $((found + lost)); found by the checker over real processes: $found, not found: $lost"
[ "$lost" -eq 0 ]
