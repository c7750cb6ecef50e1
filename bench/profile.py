#!/usr/bin/python3
"""`make bench-profile`: where the proxy's CPU time goes: perf record of it under 50 clients, without and with pipelines.

The proxy has the first core to itself. Needs perf (Debian's linux-perf). Prints shares of all its CPU time.
"""

import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import Lab  # noqa: E402 pylint: disable=wrong-import-position
from scenarios import CLIENTS, fill_plain  # noqa: E402 pylint: disable=wrong-import-position

SECONDS = 4
BELOW = ("__x64_sys_sendto", "__x64_sys_recvfrom", "__x64_sys_epoll_wait", "__x64_sys_clock_nanosleep")


def record(pid, path):
    subprocess.run(["perf", "record", "-q", "-F", "2000", "-g", "-o", path, "-p", str(pid), "--", "sleep", str(SECONDS - 1)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def shares(path, *options):
    """{name: percent} of a report."""
    done = subprocess.run(["perf", "report", "-i", path, "--no-call-graph", "--stdio", *options], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = {}
    for line in done.stdout.splitlines():
        row = re.match(r"\s*([\d.]+)%\s+(?:[\d.]+%\s+)?(?:\[[k.]\] )?(\S+)", line)
        if row:
            found.setdefault(row.group(2), float(row.group(1)))
    return found


def profile(lab, depth):
    port, pid = lab.proxy()
    lab.apart(pid)
    path = os.path.join(lab.dir, f"perf.{depth}")
    perf = threading.Thread(target=record, args=(pid, path))
    perf.start()
    lab.load(port, clients=CLIENTS, pipeline=depth)
    perf.join()
    print(f"{depth} deep:")
    for name, share in list(shares(path, "--no-children", "--sort", "dso").items())[:5]:
        print(f"  {share:6.2f} %  {name}")
    inside = shares(path, "--children", "--sort", "sym")
    for name in BELOW:
        print(f"  {inside.get(name, 0):6.2f} %  below {name}")
    print(f"  {shares(path, '--no-children', '--sort', 'sym').get('pvm_irq_enable', 0):6.2f} %  in pvm_irq_enable (a virtual machine's own)")


def main():
    lab = Lab(SECONDS, 0)
    try:
        fill_plain(lab)
        for depth in (1, 16):
            profile(lab, depth)
    finally:
        lab.close()


if __name__ == "__main__":
    main()
