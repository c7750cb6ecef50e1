#!/usr/bin/python3
"""How long a file and a function may be, and that no module has global state."""
import re
import subprocess
import sys

from checks import files, finish, read, rule

LINES_MAX = [("product", 450, ("common/*.[ch]", "proxy/*.[ch]", "node/*.[ch]", "ctl/*", "bench/*.[ch]")),
             ("tests", 750, ("tests/*.c", "tests/*.h", "tests/*.py", "tests/*.js", "tests/*.sh"))]
FUNCTION_LINES_MAX = 80
# Mutable objects of static storage, as object file and symbol, and why they are no state of a module.
GLOBALS = [
    ("log.o", "least_level", "what is logged is one thing per process"),
]


def functions(path):
    """(name, lines) of each function: clang-format puts its brackets into column 1 and its end alone."""
    start = name = None
    for number, line in enumerate(read(path).split("\n"), 1):
        if start is None and re.match(r"[A-Za-z].*\)\s*\{$|\s+.*\)\s*\{$", line) and not line.startswith((" ", "\t")):
            start, name = number, line
        elif start is None and line.endswith(") {") and re.match(r" {4,}\S", line):
            start, name = number, line.strip()  # the last line of a long head
        elif start is not None and line == "}":
            yield name, number - start + 1
            start = None


def mutable_globals(library):
    """(object, section, symbol) of each writable symbol, read-only after relocation left out."""
    out = subprocess.run(["objdump", "-t", library], check=True, stdout=subprocess.PIPE, text=True).stdout
    member = None
    for line in out.splitlines():
        if re.match(r"\S+:\s+file format", line):
            member = line.split(":")[0]
        found = re.match(r"[0-9a-f]+ .{7} (\.(?:t?data|t?bss)\S*|\*COM\*)\s+([0-9a-f]+)\s+(\S+)$", line)
        if found and not found.group(1).startswith(".data.rel.ro") and int(found.group(2), 16) > 0:
            yield member, found.group(1), found.group(3)


def main():
    for what, most, patterns in LINES_MAX:
        rule("no file of the %s is longer than %d lines" % (what, most), (
            "%s: %d lines" % (f, n) for f in files(*patterns) for n in [read(f).count("\n")] if n > most))
    c_files = files("common/*.c", "proxy/*.c", "node/*.c", "ctl/*.c", "bench/*.c")
    rule("no function is longer than %d lines" % FUNCTION_LINES_MAX, (
        "%s: %s has %d lines" % (f, name, n) for f in c_files for name, n in functions(f) if n > FUNCTION_LINES_MAX))
    rule("functions are found at all", [] if sum(1 for f in c_files for _ in functions(f)) > 300 else ["fewer than 300"])
    found = list(mutable_globals(sys.argv[1]))
    rule("no module has global state", (
        "%s: %s in %s" % (member, symbol, section) for member, section, symbol in found
        if not any(member == m and re.fullmatch(s + r"(\.\d+)?", symbol) for m, s, _ in GLOBALS)))
    rule("the list of allowed globals is current", (
        "%s: no %s" % (m, s) for m, s, _ in GLOBALS
        if not any(member == m and re.fullmatch(s + r"(\.\d+)?", symbol) for member, _, symbol in found)))
    finish()


main()
