#!/usr/bin/python3
"""`make micro-count`: instructions per call of the micro benchmarks, counted by callgrind.

A count is the same whatever else the machine does, so it shows a regression that no clock would. A bench runs
twice, with a number of calls and with twice that; the difference is what the calls cost, without any set-up.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report  # noqa: E402 pylint: disable=wrong-import-position
from lab import BIN  # noqa: E402 pylint: disable=wrong-import-position

PROGRAMS = ("micro_resp", "micro_node")
CALLS = 10000
TOLERANCE = 0.05  # of a recorded count; another compiler may make it more


def instructions(program, bench, calls):
    with tempfile.TemporaryDirectory(prefix="rf-count-") as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program, bench, str(calls)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode != 0 or not found:
        raise SystemExit(f"{program} {bench}: {done.stdout}")
    return int(found.group(1))


def count_all():
    counts = {}
    for name in PROGRAMS:
        program = os.path.join(BIN, name)
        listed = subprocess.run([program, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        for bench in listed:
            once, twice = (instructions(program, bench, calls) for calls in (CALLS, 2 * CALLS))
            counts[bench] = (twice - once) / CALLS
            print(f"{bench:<20} {counts[bench]:8.1f} instructions", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write them into bench/recorded.json")
    parser.add_argument("--check", action="store_true", help="compare with bench/recorded.json")
    args = parser.parse_args()
    counts = count_all()
    if args.record:
        report.record_values({"instructions of " + name: count for name, count in counts.items()})
    if args.check:
        known = report.recorded()
        worse = [name for name, count in counts.items()
                 if count > known.get("instructions of " + name, count) * (1 + TOLERANCE)]
        for name in worse:
            print(f"worse than recorded: {name}: {counts[name]:.1f} now, {known['instructions of ' + name]:.1f} recorded")
        print(f"micro-count: {len(counts)} counts compared, {len(worse)} worse by more than {TOLERANCE:.0%}")
        return 1 if worse else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
