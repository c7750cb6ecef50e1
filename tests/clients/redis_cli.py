#!/usr/bin/python3
"""redis-cli (RESP2, RESP3, a terminal, a pipe) and redis-benchmark."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import HOST, PORT, PREFIX, check, check_equal, finish


def cli(*args, stdin=None, protocol="-2"):
    """Its output without the last newline; an error reply is output too."""
    done = subprocess.run(["redis-cli", "-h", HOST, "-p", str(PORT), protocol, *args], input=stdin, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL if stdin is None else None, check=False)
    return done.stdout.decode().removesuffix("\n")


def plain():
    key = PREFIX + "k"
    for protocol in ("-2", "-3"):
        check_equal(protocol + " SET", cli("SET", key, "å", protocol=protocol), "OK")
        check_equal(protocol + " GET", cli("GET", key, protocol=protocol), "å")
        check_equal(protocol + " GET of an absent key", cli("--no-raw", "GET", PREFIX + "none", protocol=protocol), "(nil)")
        check_equal(protocol + " MGET", cli("--no-raw", "MGET", key, PREFIX + "none", protocol=protocol),
                    '1) "\\xc3\\xa5"\n2) (nil)')
        check_equal(protocol + " EXISTS", cli("--no-raw", "EXISTS", key, key, protocol=protocol), "(integer) 2")
        check_equal(protocol + " DEL", cli("DEL", key, protocol=protocol), "1")
        check(protocol + " INFO is text", "\r\nredis_mode:standalone\r\n" in cli("INFO", "server", protocol=protocol))
        check(protocol + " COMMAND DOCS", "summary" in cli("COMMAND", "DOCS", "get", protocol=protocol).split())
    check_equal("-3 shows a map", cli("--no-raw", "HELLO", protocol="-3").split("\n")[2], '3# "proto" => (integer) 3')
    check_equal("an error", cli("GET"), "ERR wrong number of arguments for 'get' command\n")
    check("-e gives an exit code", subprocess.run(
        ["redis-cli", "-p", str(PORT), "-e", "NOSUCH"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL, check=False).returncode == 1)
    check_equal("-x takes the value from standard input", cli("-x", "SET", key, stdin="å\n0".encode()), "OK")
    check_equal("and all of it", cli("STRLEN", key), "4")
    check_equal("commands through a pipe", cli(stdin=("SET %s 1\nGET %s\nMGET %s %s\n" % (key, key, key, key)).encode()),
                "OK\n1\n1\n1")
    check_equal("-n 0", cli("-n", "0", "PING"), "PONG")
    check("-n 1 is refused", "DB index is out of range" in cli("-n", "1", "PING"))
    check_equal("a URI", cli("-u", "redis://127.0.0.1:%d" % PORT, "PING"), "PONG")
    check("--user default with any password", cli("--user", "default", "--pass", "x", "--no-auth-warning", "PING") == "PONG")
    check("--latency answers", re.fullmatch(r"\d+ \d+ \d+\.\d+ \d+", cli("--latency", "-i", "1", "--raw")) is not None)


def all_keys():
    """--scan and --bigkeys walk the whole table."""
    wanted = ["%sall:%d" % (PREFIX, i) for i in range(50)]
    cli("MSET", *(x for key in wanted for x in (key, "v")))
    cli("SET", wanted[7], "b" * 3000)
    for protocol in ("-2", "-3"):
        found = cli("--scan", "--pattern", PREFIX + "all:*", protocol=protocol).split("\n")
        check_equal(protocol + " --scan finds every key once", sorted(found), sorted(wanted))
    check_equal("KEYS", sorted(cli("KEYS", PREFIX + "all:*").split("\n")), sorted(wanted))
    big = cli("--bigkeys")
    check("--bigkeys knows a big string", re.search(r"Biggest string found '\"[^']*\"' has [0-9]+ bytes", big) is not None, big[-600:])
    check("--bigkeys walks all keys", re.search(r"Sampled %s keys in the keyspace" % cli("DBSIZE"), big) is not None, big[-600:])


def mass_insertion():
    """--pipe: raw requests in, a closing ECHO; its verdict counts replies and errors."""
    requests = b"".join(
        b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$4\r\n%04d\r\n" % (len(key), key, i)
        for i in range(1000) for key in [("%sbulk%d" % (PREFIX, i)).encode()])
    check("--pipe sends 1000 SETs without an error", cli("--pipe", stdin=requests).endswith("errors: 0, replies: 1000"))
    check_equal("and the last is there", cli("GET", PREFIX + "bulk999"), "0999")


def monitor():
    """MONITOR shows what the connections of all workers ask for, once it is allowed."""
    check_equal("MONITOR is off, and says by which option", cli("MONITOR"),
                "ERR MONITOR is not allowed here: it needs allow-monitor yes in the configuration\n")
    check_equal("CONFIG SET allow-monitor", cli("CONFIG", "SET", "allow-monitor", "yes"), "OK")
    with subprocess.Popen(["redis-cli", "-p", str(PORT), "MONITOR"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as shown:
        check_equal("MONITOR begins", shown.stdout.readline(), b"OK\n")
        ask = "\n".join('SET %sm%d "a b\\n\\x01"' % (PREFIX, i) for i in range(20)).encode()
        seen, deadline = "", time.monotonic() + 20
        while '"%sm19"' % PREFIX not in seen and time.monotonic() < deadline:
            check_equal("a connection writes", cli(stdin=ask), "\n".join(["OK"] * 20))
            while select.select([shown.stdout], [], [], 0.3)[0]:
                seen += os.read(shown.stdout.fileno(), 65536).decode()
        check("its lines are Redis' own", re.search(
            r'^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "%sm7" "a b\\n\\x01"$' % PREFIX, seen, re.M) is not None, seen[:500])
        check_equal("what ends it is CONFIG SET allow-monitor no", cli("CONFIG", "SET", "allow-monitor", "no"), "OK")
        check("then its connection ends", lambda: shown.wait(20) is not None)


class Terminal:
    """redis-cli on a terminal of 120 columns."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", REDISCLI_HISTFILE="/dev/null", REDISCLI_RCFILE="/dev/null")
            os.execvp("redis-cli", ["redis-cli", "-p", str(PORT), *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.prompt = "%s:%d> " % (HOST, PORT)
        self.wait(self.prompt)

    def wait(self, text, seconds=20):
        """Reads until the screen's raw output ends with `text`; gives what came, without control sequences."""
        got, deadline = "", time.monotonic() + seconds
        while not got.endswith(text):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise TimeoutError("%r after %r" % (text, got[-300:]))
            try:
                got = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", got + os.read(self.fd, 65536).decode())
            except OSError as e:
                raise EOFError("%r after %r" % (text, got[-300:])) from e
        return got

    def type(self, text):
        os.write(self.fd, text.encode())

    def ask(self, line):
        """What is printed between the line and the next prompt."""
        self.type(line + "\r")
        # The line is drawn again for each byte, after a \r; the first \n ends it, and the answer follows.
        answer = self.wait("\n" + self.prompt).removesuffix(self.prompt)
        return answer[answer.index("\n") + 1:].replace("\r", "").removesuffix("\n")

    def close(self):
        """QUIT ends it."""
        self.type("quit\r")
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def terminal():
    for protocol in ("-2", "-3"):
        t = Terminal(protocol)
        check_equal(protocol + " terminal: SET", t.ask("set %st v" % PREFIX), "OK")
        check_equal(protocol + " terminal: GET", t.ask("get %st" % PREFIX), '"v"')
        check_equal(protocol + " terminal: absent", t.ask("get %snone" % PREFIX), "(nil)")
        check_equal(protocol + " terminal: error", t.ask("nosuch a"),
                    "(error) ERR unknown command 'nosuch', with args beginning with: 'a' ")
        check(protocol + " terminal: help comes from COMMAND DOCS",
              "\n  GET key\n  summary: The value of a key.\n  since: 1.0.0\n  group: string\n" in t.ask("help get"))
        check(protocol + " terminal: arguments, as Redis' own help shows them", all(
            "\n  %s\n" % line in t.ask("help " + line.split()[0])
            for line in ("MSET key value [key value ...]", "MGET key [key ...]", "EXPIRE key seconds [NX|XX|GT|LT]")))
        check(protocol + " terminal: help of a subcommand", "CLIENT SETNAME" in t.ask("help client setname"))
        check(protocol + " terminal: no help for what is not ours", "summary" not in t.ask("help lpush"))
        check_equal(protocol + " terminal: quit", t.close(), 0)


def benchmark():
    for name, args in (("", []), (", 16 deep", ["-P", "16"]), (", RESP3", ["-3"]), (", random keys", ["-r", "1000"])):
        done = subprocess.run(
            ["redis-benchmark", "-h", HOST, "-p", str(PORT), "-t", "ping,get,set,mset", "-n", "4000", "-q", *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120, check=False)
        out = done.stdout.decode().replace("\r", "\n")
        rates = re.findall(r"^\s*([A-Z_]+(?: \(10 keys\))?): (\d+\.\d+) requests per second", out, re.M)
        check_equal("redis-benchmark%s: five rates" % name, [n for n, _ in rates],
                    ["PING_INLINE", "PING_MBULK", "SET", "GET", "MSET (10 keys)"])
        check("redis-benchmark%s: no warning, no error" % name,
              done.returncode == 0 and not re.search("warn|err", out, re.I), out[-300:])


def main():
    for part in (plain, all_keys, mass_insertion, monitor, terminal, benchmark):
        try:
            part()
        except Exception as e:  # pylint: disable=broad-except
            check("%s ran to its end" % part.__name__, False, repr(e))
    finish()


main()
