#!/bin/bash
# clang-format has nothing to say about any C file, shellcheck nothing about any shell file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
passed=0 failed=0

# All files in one call, which is quick; one by one only to count and show those with findings.
all() { # name file... -- command...
    local name=$1 found=() why file
    shift
    while [ "$1" != -- ]; do
        found+=("$1")
        shift
    done
    shift
    if "$@" "${found[@]}" >/dev/null 2>&1; then
        passed=$((passed + ${#found[@]}))
        echo "ok - $name: ${#found[@]} files"
        return
    fi
    for file in "${found[@]}"; do
        if why=$("$@" "$file" 2>&1); then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "not ok - $name $file"
            echo "$why" | head -n 20
        fi
    done
}

tracked() { # pattern...
    git ls-files --cached --others --exclude-standard -- "$@"
}

shell_files() { # by name, or by the first line
    local file line
    while read -r file; do
        line=
        IFS= read -r line <"$file" 2>/dev/null
        [[ $file == *.sh || $line =~ ^#!.*[/\ ](ba)?sh ]] && echo "$file"
    done < <(tracked . | grep -v '^tests/fuzz/corpus/')
}

stops_at_errors() { # file...
    local file
    for file; do
        grep -qE '^set -e?uo pipefail' "$file" || { echo "$file: no set -uo pipefail" && return 1; }
    done
}

mapfile -t c_files < <(tracked '*.c' '*.h')
mapfile -t scripts < <(shell_files)
all clang-format "${c_files[@]}" -- clang-format --dry-run -Werror
all shellcheck "${scripts[@]}" -- shellcheck -x
all "set -uo pipefail" "${scripts[@]}" -- stops_at_errors
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
