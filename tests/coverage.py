#!/usr/bin/python3
"""Lines and branches of the product that the tests ran, per file: what `make coverage` prints.

    tests/coverage.py build/coverage [--missed FILE ...]     --missed: also the lines of FILE that no test ran

Counts of all programs add up: gcov keeps one file of counts for each object, and daemons that ended in order wrote theirs.
"""
import collections
import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile

FOLDERS = ("common", "node", "proxy", "ctl")


def of_object(counts, root, where):
    """What gcov says of one object, as JSON."""
    subprocess.run(["gcov", "--json-format", "--branch-probabilities", counts], cwd=where, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    for name in glob.glob(os.path.join(where, "*.gcov.json.gz")):
        with gzip.open(name) as file:
            yield from json.load(file)["files"]
        os.remove(name)


def main():
    built, missed = sys.argv[1], set(sys.argv[3:])
    root = os.getcwd()
    lines = collections.defaultdict(collections.Counter)
    branches = collections.defaultdict(collections.Counter)
    objects = sorted(name for folder in FOLDERS for name in glob.glob("%s/%s/*.gcno" % (built, folder)))
    with tempfile.TemporaryDirectory() as where:
        for notes in objects:
            for file in of_object(os.path.join(root, notes), root, where):
                path = os.path.relpath(os.path.join(root, file["file"]), root)
                if os.path.dirname(path) not in FOLDERS:
                    continue
                for line in file["lines"]:
                    lines[path][line["line_number"]] += line["count"]
                    for i, branch in enumerate(line["branches"]):
                        branches[path][line["line_number"], i] += branch["count"]
    if not lines:
        sys.exit("no counts below %s: build with FLAVOUR=coverage" % built)
    print("%-32s %13s %6s %15s %6s" % ("file", "lines", "%", "branches", "%"))
    rows = []
    for path in lines:
        rows.append((path, sum(n > 0 for n in lines[path].values()), len(lines[path]),
                     sum(n > 0 for n in branches[path].values()), len(branches[path])))

    def show(name, ran, of, taken, of_branches):
        print("%-32s %6d/%6d %6.1f %7d/%7d %6.1f" % (name, ran, of, 100 * ran / max(of, 1), taken, of_branches,
                                                    100 * taken / of_branches if of_branches else 100))
    for row in sorted(rows, key=lambda r: r[1] / max(r[2], 1)):
        show(*row)
    for folder in FOLDERS:
        of_folder = [r for r in rows if os.path.dirname(r[0]) == folder]
        show(folder + "/", *(sum(r[i] for r in of_folder) for i in range(1, 5)))
    show("all", *(sum(r[i] for r in rows) for i in range(1, 5)))
    for path in sorted(missed):
        print("%s: never ran: %s" % (path, " ".join(str(n) for n in sorted(lines[path]) if lines[path][n] == 0)))


if __name__ == "__main__":
    main()
