#!/usr/bin/python3
"""Tools that look into a server: redis-cli's --stat, --bigkeys, --memkeys, --hotkeys, --latency; Debian's prometheus-redis-exporter."""
import os
import re
import select
import shutil
import socket
import subprocess
import time
import urllib.request

from harness import HOST, PORT, PREFIX, check, check_equal, finish, wait_until

CLI = ["redis-cli", "-h", HOST, "-p", str(PORT)]
# What the usual dashboard for this exporter shows, and what else of ours it finds.
METRICS = {
    "redis_up": 1, "redis_connected_clients": None, "redis_blocked_clients": 0, "redis_uptime_in_seconds": None, "redis_memory_used_bytes": None,
    "redis_keyspace_hits_total": None, "redis_keyspace_misses_total": None, "redis_net_input_bytes_total": None,
    "redis_net_output_bytes_total": None, "redis_evicted_keys_total": None, "redis_commands_processed_total": None,
    "redis_connections_received_total": None, "redis_slowlog_length": None, "redis_config_maxclients": None,
    'redis_commands_total{cmd="get"}': None, 'redis_commands_duration_seconds_total{cmd="get"}': None,
}


def run(*args, seconds=60):
    done = subprocess.run([*CLI, *args], timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    return done.stdout.decode()


def has_scan():
    return "unknown command" not in run("SCAN", "0")


def stat():
    """Two lines of numbers, and no complaint. It ends when its output does."""
    p = subprocess.Popen([*CLI, "--stat", "-i", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    text, deadline = "", time.monotonic() + 20
    while len(re.findall(r"^\d+ ", text, re.M)) < 3 and time.monotonic() < deadline:
        if select.select([p.stdout], [], [], 1)[0]:
            text += os.read(p.stdout.fileno(), 65536).decode()
    p.terminate()
    p.wait(10)
    p.stdout.close()
    check("--stat shows keys, memory, clients, requests and connections",
          len(re.findall(r"^\d+\s+[\d.]+[BKMG]\s+\d+\s+\d+\s+\d+ \([+-]\d+\)\s+\d+", text, re.M)) >= 3, repr(text[-300:]))
    check("--stat finds nothing missing", "err" not in text.lower() and "-nan" not in text)


def keys():
    for i in range(20):
        run("SET", "%stool%d" % (PREFIX, i), "v" * (i + 1))
    if not has_scan():
        print("# SCAN is not there: --bigkeys, --memkeys and --hotkeys were not run")
        return
    out = run("--bigkeys", "-i", "0", seconds=120)
    check("--bigkeys goes through all keys", "-------- summary -------" in out and re.search(r"Biggest string found", out) is not None, out[-400:])
    out = run("--memkeys", "-i", "0", seconds=120)
    check("--memkeys asks each key's node", "-------- summary -------" in out and re.search(r"Biggest string found .* bytes", out) is not None, out[-400:])
    hot = PREFIX + "tool7"
    subprocess.run([*CLI, "-r", "5000", "GET", hot], timeout=60, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    check("RF.HOTKEYS knows a key that was asked for much", hot in run("RF.HOTKEYS", "COUNT", "3").split("\n"), run("RF.HOTKEYS"))
    out = run("--hotkeys", "-i", "0", seconds=120)
    check("--hotkeys finds it", re.search(r"hot key found with counter: [1-9]\d*\s+keyname: \"?%s\"?" % hot, out) is not None, out[-600:])
    check_equal("OBJECT FREQ of an absent key", run("OBJECT", "FREQ", PREFIX + "none"), "\n")


def single():
    key = PREFIX + "one"
    check_equal("SET", run("SET", key, "12"), "OK\n")
    check_equal("OBJECT ENCODING", run("OBJECT", "ENCODING", key), "int\n")
    check("MEMORY USAGE", re.fullmatch(r"\d+\n", run("MEMORY", "USAGE", key)) is not None)
    check("--latency", re.fullmatch(r"\d+ \d+ \d+\.\d+ \d+", run("--latency", "-i", "1", "--raw").strip()) is not None)
    check("--latency --csv has no complaint", "err" not in run("--latency", "-i", "1", "--csv").lower())


def free_port():
    with socket.socket() as s:
        while True:
            port = 20000 + os.getpid() * 7 % 9000 + int(time.monotonic() * 1000) % 1000
            try:
                s.bind((HOST, port))
                return port
            except OSError:
                time.sleep(0.01)


def scrape(port):
    try:
        with urllib.request.urlopen("http://%s:%d/metrics" % (HOST, port), timeout=10) as r:
            return r.read().decode()
    except OSError:
        return ""


def exporter():
    program = shutil.which("prometheus-redis-exporter")
    check("prometheus-redis-exporter is installed (ctl/packages.sh)", program is not None)
    if program is None:
        return
    run("GET", PREFIX + "one")
    port = free_port()
    p = subprocess.Popen([program, "-redis.addr", "redis://%s:%d" % (HOST, PORT), "-web.listen-address", "%s:%d" % (HOST, port)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        found = {}
        wait_until("a scrape", lambda: "redis_up" in found or found.update(re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", scrape(port), re.M)))
        for name, value in METRICS.items():
            check("exporter: %s" % name, name in found and (value is None or float(found[name]) == value), found.get(name, "not there"))
        check_equal("exporter: its scrape had no error", found.get("redis_exporter_last_scrape_error{err=\"\"}"), "0")
    finally:
        p.terminate()
        log = p.communicate(timeout=20)[0].decode()
    check("exporter: nothing logged as an error", "level=error" not in log, log[-500:])


def main():
    for part in (single, stat, keys, exporter):
        try:
            part()
        except Exception as e:  # pylint: disable=broad-except
            check("%s ran to its end" % part.__name__, False, repr(e))
    finish()


main()
