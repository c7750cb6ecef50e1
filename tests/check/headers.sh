#!/bin/bash
# Each header compiles alone, with all warnings, and twice in one file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
passed=0 failed=0
flags=(-std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wstrict-prototypes -Wno-unused-parameter -Wno-unused-function)
read -ra cc <<<"${CC:-gcc}" # perhaps two words: ccache gcc
read -ra found <<<"$(pkg-config --cflags libevent_core libpq libxxhash jansson)"
while read -r header; do
    if why=$(printf '#include "%s"\n#include "%s"\ntypedef int nothing_else;\n' "$header" "$header" |
        "${cc[@]}" "${flags[@]}" "${found[@]}" -I. -x c -fsyntax-only - 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok - $header does not compile alone"
        echo "$why" | head -n 10
    fi
done < <(git ls-files --cached --others --exclude-standard '*.h')
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
