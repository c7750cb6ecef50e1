#!/usr/bin/python3
"""`make bench-profile`: where a proxy's CPU time goes: ours, nutcracker's, and that of a server which answers with a constant, each
under 50 clients, without and with pipelines, and with MGETs; and ours with one and two workers. In microseconds of CPU per request.

The server has the first core to itself, but for the workers. Needs perf (Debian's linux-perf), and prints system calls per request
beside the times.
"""

import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import CLIENTS, Lab  # noqa: E402 pylint: disable=wrong-import-position
from scenarios import FLOOR, NUTCRACKER, fill_plain  # noqa: E402 pylint: disable=wrong-import-position

SECONDS = 4
LOADS = [("GET, no pipeline", {}), ("GET, 16 deep", {"pipeline": 16}), ("MGET of 5, no pipeline", {"gets": 0, "mgets": 1})]
# What is counted as which, by the kernel's names: one of them is what a contender uses.
PARTS = [("send", ("__sys_sendto", "do_writev")),
         ("  of it, waking the reader", ("sock_def_readable",)),
         ("receive", ("__sys_recvfrom", "ksys_read")),
         ("epoll_wait", ("__x64_sys_epoll_wait",)),
         ("epoll_ctl", ("__x64_sys_epoll_ctl",)),
         ("rest between turns", ("__x64_sys_clock_nanosleep",))]
CALLS = [("send", ("sendto", "writev")), ("receive", ("recvfrom", "read")), ("epoll_wait", ("epoll_wait",))]


def watch(pid, path, calls):
    """perf of `pid` from the second second on: a profile into `path`, system calls counted into `calls`."""
    names = [name for _, group in CALLS for name in group]
    count = subprocess.Popen(["perf", "stat", "-x", ",", "-e", ",".join("syscalls:sys_enter_" + n for n in names), "-p", str(pid), "--",
                              "sleep", str(SECONDS - 2)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    subprocess.run(["perf", "record", "-q", "-F", "2000", "-g", "-o", path, "-p", str(pid), "--", "sleep", str(SECONDS - 2)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for line in count.communicate()[1].splitlines():
        field = line.split(",")
        if field[0].isdigit():
            calls[field[2].removeprefix("syscalls:sys_enter_")] = int(field[0])


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


def profile(lab, server, options, place):
    """{part: microseconds a request}, {system call: how often a request}."""
    port, pid = server
    place(pid)
    path, calls = os.path.join(lab.dir, "perf.data"), {}
    perf = threading.Timer(1.5, watch, (pid, path, calls))
    perf.start()
    figures = lab.load(port, pids={"proxy": [pid]}, **options)
    perf.join()
    cpu_us = figures["cpu_us_per_request"]["proxy"]
    inside = shares(path, "--children", "--sort", "sym")
    where = shares(path, "--no-children", "--sort", "dso")
    kernel = next((share for name, share in where.items() if name.startswith("[kernel")), 0)
    times = {"all": cpu_us, "kernel": cpu_us * kernel / 100}
    for part, names in PARTS:
        times[part] = cpu_us * sum(inside.get(name, 0) for name in names) / 100
    times["outside the kernel"] = cpu_us * (100 - kernel) / 100
    asked = (SECONDS - 2) * figures["per_second"]
    return times, {call: sum(calls.get(name, 0) for name in names) / asked for call, names in CALLS}


def show(lab, title, runs, place):
    """`runs`: {name: (server, options of its load)}."""
    found = {name: profile(lab, server, options, place) for name, (server, options) in runs.items()}
    print(f"\n| {title} | " + " | ".join(runs) + " |\n|---|" + "---|" * len(runs))
    for part in next(iter(found.values()))[0]:
        print(f"| {part.strip()}, us | " + " | ".join(f"{times[part]:.2f}" for times, _ in found.values()) + " |")
    for call, _ in CALLS:
        print(f"| {call}, calls | " + " | ".join(f"{calls[call]:.3f}" for _, calls in found.values()) + " |", flush=True)


def main():
    lab = Lab(SECONDS, 0)
    try:
        fill_plain(lab)
        servers = {"ringfence": lab.proxy(), NUTCRACKER.split()[0]: lab.nutcracker(), FLOOR: lab.floor()}
        for title, options in LOADS:
            show(lab, title, {name: (server, options) for name, server in servers.items()}, lab.apart)
        show(lab, "GET, 16 deep, on all cores",
             {"one worker": (lab.proxy(), {"pipeline": 16}), "two workers": (lab.proxy_two(), {"pipeline": 16, "clients": 2 * CLIENTS})},
             lambda pid: lab.everywhere())
    finally:
        lab.close()


if __name__ == "__main__":
    main()
