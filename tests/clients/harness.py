"""harness: what the client tests share: one line a check, a proxy of one's own that may be restarted.

The address of the stack comes from the environment: RF_PROXY_PORT, RF_RING_FILE, RF_PROXY_BIN.
"""
import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import traceback

PORT = int(os.environ["RF_PROXY_PORT"])
HOST = "127.0.0.1"
# Keys of one run: the table keeps what others wrote.
PREFIX = "client:%d:%d:" % (os.getpid(), random.randrange(10**9))

passed = failed = 0


def check(name, condition, detail=""):
    """One line; `condition` is a bool, or a function whose exception is a failure."""
    global passed, failed
    if callable(condition):
        try:
            condition = condition()
        except Exception:  # pylint: disable=broad-except
            condition, detail = False, traceback.format_exc(limit=3).strip().replace("\n", " | ")
    if condition:
        passed += 1
        print("ok - %s" % name, flush=True)
    else:
        failed += 1
        print("not ok - %s %s" % (name, detail), flush=True)


def check_equal(name, got, wanted):
    check(name, got == wanted and type(got) is type(wanted), "got %.200r, wanted %.200r" % (got, wanted))


def finish():
    print("%d passed, %d failed" % (passed, failed), flush=True)
    sys.exit(0 if failed == 0 and passed > 0 else 1)


def wait_until(what, condition, seconds=20):
    """Polls; raises when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError(what)


def answers(port):
    """A PING comes back, or that it wants to know who asks."""
    with contextlib.suppress(OSError):
        with socket.create_connection((HOST, port), timeout=1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(64).startswith((b"+PONG", b"-NOAUTH "))
    return False


class Proxy:
    """A second proxy in front of the same nodes, for tests that stop it. Ends with its `with` block."""

    def __init__(self, *args):
        """`args`: more options of it."""
        self.args = args

    def __enter__(self):
        for _ in range(50):
            self.port = random.randrange(12000, 19000)
            if self.start():
                return self
        raise RuntimeError("no free port for a second proxy")

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """On self.port, the same again after stop(). False: it ended, the port is taken."""
        self.process = subprocess.Popen(
            [os.environ["RF_PROXY_BIN"], "--ring-file", os.environ["RF_RING_FILE"], "--port", str(self.port),
             "--workers", "1", "--log-level", "warn", "--drain-ms", "200", "--request-timeout-ms", "10000",
             "--write-timeout-ms", "30000", *self.args],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("a second proxy", lambda: self.process.poll() is not None or answers(self.port))
        return self.process.poll() is None

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
