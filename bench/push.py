#!/usr/bin/python3
"""From an edit with psql to the invalidation at every client that caches: `make bench-push`.

100 tracking clients on two proxies read one key; it is edited by a psql that is already connected; the time
from the line's leaving to each client's push is taken. Includes psql's own time and the commit.
"""
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLIENTS, EDITS, PATIENCE_S = 100, 200, 10
KEY = b"push:key"
PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%s\r\n" % (len(KEY), KEY)


def request(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(request(b"HELLO", b"3") + request(b"CLIENT", b"TRACKING", b"ON"))
    time.sleep(0.01)
    s.recv(65536)
    s.setblocking(False)
    return s


def second_proxy(env, folder):
    flavour = os.environ.get("FLAVOUR", "release")
    for port in range(int(env["PROXY_PORT"]) + 1, int(env["PROXY_PORT"]) + 100):
        log = open(os.path.join(folder, "proxy2.log"), "wb")
        p = subprocess.Popen([f"{ROOT}/build/{flavour}/bin/ringfence-proxy", "--ring-file", env["RING_FILE"],
                              "--port", str(port)], stderr=log)
        for _ in range(200):
            time.sleep(0.02)
            if b" proxy_ready " in open(log.name, "rb").read():
                return p, port
            if p.poll() is not None:
                break
    raise SystemExit("the second proxy did not start")


def read_all(clients):
    """Every client holds the key, and nothing of before is under way."""
    for s in clients:
        s.sendall(request(b"GET", KEY))
    quiet_until = time.monotonic() + 0.1
    while time.monotonic() < quiet_until:
        for s in clients:
            try:
                if PUSH in s.recv(65536):  # a slower node spoke of the edit before: read again
                    s.sendall(request(b"GET", KEY))
                    quiet_until = time.monotonic() + 0.1
            except BlockingIOError:
                pass


def one_edit(n, psql, clients):
    waiting = selectors.DefaultSelector()
    for s in clients:
        waiting.register(s, selectors.EVENT_READ)
    begin = time.monotonic()
    psql.stdin.write(f"UPDATE ringfence.entry SET payload = '{n}' WHERE key = '{KEY.decode()}';\n".encode())
    psql.stdin.flush()
    times, told = [], set()
    while len(told) < len(clients):
        ready = waiting.select(PATIENCE_S)
        if not ready:
            raise SystemExit(f"edit {n}: only {len(told)} of {len(clients)} clients were told")
        for key, _ in ready:
            if PUSH in key.fileobj.recv(65536) and key.fileobj not in told:
                told.add(key.fileobj)
                times.append(time.monotonic() - begin)
    waiting.close()
    return times


def main():
    folder = tempfile.mkdtemp(prefix="rf-push-", dir="/var/tmp")
    env = dict(os.environ)
    proxy = psql = None
    try:
        for _ in range(5):
            env["PROXY_PORT"] = str(20000 + int.from_bytes(os.urandom(2), "big") % 9000)
            if subprocess.run([f"{ROOT}/ctl/stack.sh", "up", folder], env=env, stdout=subprocess.DEVNULL).returncode == 0:
                break
        else:
            raise SystemExit("the stack did not start")
        for line in open(f"{folder}/env"):
            name, value = line.rstrip("\n").split("=", 1)
            env[name] = value.strip('"')
        proxy, port = second_proxy(env, folder)
        psql = subprocess.Popen(["psql", "-qX"], env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        psql.stdin.write(f"INSERT INTO ringfence.entry (key, payload) VALUES ('{KEY.decode()}', '');\n".encode())
        clients = [connect(int(env["PROXY_PORT"]) if i % 2 == 0 else port) for i in range(CLIENTS)]
        times = []
        for n in range(EDITS):
            read_all(clients)
            times += one_edit(n, psql, clients)
        times.sort()
        ms = [1000 * times[min(len(times) - 1, int(len(times) * q))] for q in (0.5, 0.99, 1.0)]
        print(f"{CLIENTS} tracking clients, 2 proxies, {EDITS} edits, {len(times)} pushes: "
              f"p50 {ms[0]:.2f} ms, p99 {ms[1]:.2f} ms, max {ms[2]:.2f} ms")
    finally:
        if psql is not None:
            psql.stdin.close()
            psql.wait()
        if proxy is not None:
            proxy.terminate()
            proxy.wait()
        subprocess.run([f"{ROOT}/ctl/stack.sh", "down", folder], stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
