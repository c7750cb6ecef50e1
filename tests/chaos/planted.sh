#!/bin/bash
# Builds the daemons once per bug of common/plant.h and shows whether the checker over real processes finds it.
#   tests/chaos/planted.sh [NAME[:REGIME[:FAULTS]]...]     default: those that it is known to find; SECONDS_EACH=s SEEDS='n ...'
# A bug that is not found within SEEDS runs is a failure. The same checker must find nothing without a bug: `make chaos`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
base=build/release
out=build/planted
SECONDS_EACH=${SECONDS_EACH:-8}
[ $# -ne 0 ] || set -- no_program_order:R0 wrong_owner:R0 no_drop_at_other_owners:R0 cache_before_commit:R1:backend \
    nil_for_failure:R4:database trust_without_heartbeat:R4:feed everything_is_nothing:R3:bulk gone_keeps_entry:R3:rows \
    resend_sent_write:R1:link nodedown_for_uncertain:R1:node ok_for_uncertain:R1

make -s -j2 FLAVOUR=release all $base/tests/chaos/test_chaos
mapfile -t names < <(sed -n 's/^ *PLANT_\([a-z_]*\)\( = 1\)\?,.*/\1/p' common/plant.h)
read -ra cflags < <(make -s FLAVOUR=release planted-flags)
read -ra libs < <(make -s FLAVOUR=release planted-libs)
read -ra cc <<<"${CC:-gcc}"

number_of() { # name
    local i
    for i in "${!names[@]}"; do
        [ "${names[$i]}" != "$1" ] || { echo $((i + 1)) && return 0; }
    done
    echo "$1 is not in common/plant.h" >&2
    return 1
}

# Both daemons, with what the bug is in compiled anew.
build() { # number name
    local daemon source object
    mkdir -p "$out/$2/bin"
    for daemon in node proxy; do
        local objects=()
        while read -r source; do
            object=$out/$2/$daemon.$(basename "$source" .c).o
            "${cc[@]}" "${cflags[@]}" -DRINGFENCE_PLANT="$1" -c "$source" -o "$object"
            objects+=("$object")
        done < <(grep -l "PLANTED($2)" common/*.c "$daemon"/*.c)
        "${cc[@]}" "${cflags[@]}" $base/$daemon/main.o "${objects[@]}" $base/lib.a -o "$out/$2/bin/ringfence-$daemon" "${libs[@]}"
    done
}

found=0 lost=0
printf '%-34s %-8s %s\n' "planted" "regime" "what the checker says"
for word; do
    IFS=: read -r name regime faults <<<"$word"
    build "$(number_of "$name")" "$name"
    said=""
    for seed in ${SEEDS:-1 2 3}; do
        log=$out/$name/chaos.log
        CHAOS_REGIME=${regime:-R0 R1 R3 R4} CHAOS_SEED=$seed CHAOS_FAULTS=$faults CHAOS_SECONDS=$SECONDS_EACH FLAVOUR=planted/$name \
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
