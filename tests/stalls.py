#!/usr/bin/env python3
"""Tests on a machine that stands still now and then: they are to judge the product, not the machine.

    tests/stalls.py COMMAND...    runs it; meanwhile every daemon of this build and of tests' PostgreSQL servers stops at once,
                                  for 0.1 to 0.4 s, about every 1.2 s. Ends with the command's status.

The test programs themselves go on: what Criterion starts is stopped and continued by Criterion, which bears nobody else doing it.
"""
import os
import random
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(HERE, "build", os.environ.get("FLAVOUR", "release"), "bin", "ringfence-")
DATABASES = "/var/tmp/rf-"
EVERY_S, SHORT_S, LONG_S = 1.2, 0.1, 0.4


def link(pid, name):
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:  # it has ended
        return ""


def stopped_by_test(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return True


def daemons():
    """But for those that a test has stopped, which are to stay so."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids
            if (link(pid, "exe").startswith(BIN) or link(pid, "cwd").startswith(DATABASES)) and not stopped_by_test(pid)]


def tell(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def stands(child, seconds):
    """Whether the command is still there after so long."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with subprocess.Popen(sys.argv[1:]) as child:
        stalls = 0
        while stands(child, random.expovariate(1 / EVERY_S)):
            stopped = daemons()
            tell(stopped, signal.SIGSTOP)
            stands(child, random.uniform(SHORT_S, LONG_S))
            tell(stopped, signal.SIGCONT)
            stalls += 1
    print(f"stalls: {stalls}", file=sys.stderr)
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
