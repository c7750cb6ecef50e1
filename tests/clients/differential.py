#!/usr/bin/python3
"""A differential test: random requests to a private redis-server and to the proxy; replies are compared byte by byte.

differential.py [--sequences N] [--seed S] [--first I]   I: the number of the first sequence, to run one again

Each sequence is drawn from its seed and number alone: a few keys of its own, two connections, batches of one to eight
requests in RESP2 or RESP3, inline or not, cut into pieces anywhere. What may differ stands in KNOWN below.
"""
import argparse
import decimal
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

REPLY_SECONDS = 60
BIG_BYTES = 1 << 20

# Differences that are meant: what ours answers (a pattern over the whole reply) to requests that Redis would execute.
# `when` sees the request's arguments. After one of these the keys named in it are deleted on both sides.
KNOWN = [
    # An empty key, or one that PostgreSQL's text could not hold or index.
    ("empty key", lambda a: b"" in keys_of(a), rb"-ERR key is empty\r\n"),
    # So it is not listed behind such a request of the same batch.
    ("empty key in KEYS", lambda a: a[0].upper() == b"KEYS" and a[1:] == [b""], rb"\*0\r\n"),
    ("long key", lambda a: any(len(k) > 1024 for k in keys_of(a)), rb"-ERR key is longer than 1024 bytes\r\n"),
    ("key is no text", lambda a: any(not is_text(k) for k in keys_of(a)), rb"-ERR key is not valid UTF-8 text\r\n"),
    # A value that is no text, or too long.
    ("value is no text", lambda a: any(not is_text(v) for v in values_of(a)), rb"-ERR value is not valid UTF-8 text\r\n"),
    ("long value", lambda a: any(len(v) > BIG_BYTES for v in values_of(a)), rb"-ERR value is longer than 1048576 bytes\r\n"),
    # PostgreSQL's timestamps end before 2^63 ms.
    ("far future", lambda a: a[0].upper() in TIMES and any(len(x) > 15 for x in a[1:]),
     rb"-ERR invalid expire time in '[a-z]+' command\r\n"),
    # Redis looks for the key first.
    ("getex order", lambda a: a[0].upper() == b"GETEX", rb"-ERR (invalid expire time in 'getex' command|value is not an integer or out of range)\r\n"),
    # Redis fills a gap with zero bytes, and cuts characters; its limit is 512 MB.
    ("no text left", lambda a: a[0].upper() == b"SETRANGE", rb"-ERR (the value would no longer be valid UTF-8 text without NUL|string exceeds .*)\r\n"),
    ("long result", lambda a: a[0].upper() == b"APPEND", rb"-ERR string exceeds maximum allowed size \(value-bytes-max\)\r\n"),
    # Ours adds decimals; Redis adds long doubles, which are off in their 19th digit.
    ("decimals", lambda a: a[0].upper() == b"INCRBYFLOAT", rb"\$\d+\r\n-?\d+(\.\d+)?\r\n"),
    # Redis looks at the key first.
    ("float order", lambda a: a[0].upper() == b"INCRBYFLOAT" and a[2] == b"inf", rb"-ERR increment would produce NaN or Infinity\r\n"),
    # As Redis from 7.2 on; 7.0 wants an argument more.
    ("getkeys alone", lambda a: len(a) == 3 and a[0].upper() == b"COMMAND" and a[1].upper() == b"GETKEYS",
     rb"-ERR (Invalid (command|number of arguments) specified|The command has no key arguments).*\r\n"),
    # Who answers: another name of the version and number of the connection, and one pair more.
    ("hello", lambda a: a[0].upper() == b"HELLO", rb"[%*]\d+\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n.*"),
]


# Commands that take a time, and where it may stand.
TIMES = {b"SET", b"SETEX", b"PSETEX", b"GETEX", b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"}

# Replies that tell a time: both are asked some time after each other. How far they may be apart.
NEAR = {b"TTL": 3, b"PTTL": 3000, b"EXPIRETIME": 3, b"PEXPIRETIME": 3000}

# Commands by where their keys and values stand.
ONE_KEY = {b"GET", b"SET", b"SETNX", b"GETSET", b"GETDEL", b"STRLEN", b"TYPE", b"PERSIST", b"GETRANGE", b"SUBSTR",
           b"INCR", b"DECR", b"INCRBY", b"DECRBY", b"INCRBYFLOAT", b"APPEND", b"SETRANGE", *TIMES, *NEAR}


def is_text(data):
    """What PostgreSQL takes as text: UTF-8 without NUL."""
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def keys_of(args):
    name = args[0].upper()
    if name in ONE_KEY:
        return args[1:2]
    if name in (b"MGET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"):
        return args[1:]
    return args[1::2] if name in (b"MSET", b"MSETNX") else []


def values_of(args):
    name = args[0].upper()
    if name in (b"SET", b"SETNX", b"GETSET", b"APPEND"):
        return args[2:3]
    if name in (b"SETEX", b"PSETEX", b"SETRANGE"):
        return args[3:4]
    return args[2::2] if name in (b"MSET", b"MSETNX") else []


# ---- connections ----

class Ended(Exception):
    """The other side closed, or said nothing for too long."""


class Connection:
    """Sends bytes, and gives each reply as its raw bytes."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.address = address
        self.socket = socket.socket(family)
        self.socket.settimeout(REPLY_SECONDS)
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.at = b"", 0

    def more(self):
        try:
            got = self.socket.recv(1 << 18)
        except (TimeoutError, ConnectionResetError) as e:
            raise Ended(repr(e)) from e
        if not got:
            raise Ended("closed")
        self.data, self.at = self.data[self.at:] + got, 0

    def line(self, at):
        """The end of the line that begins `at` bytes behind self.at."""
        while True:
            end = self.data.find(b"\r\n", self.at + at)
            if end >= 0:
                return end + 2 - self.at
            self.more()

    def measure(self, at):
        end = self.line(at)
        head = self.data[self.at + at:self.at + end]
        kind, rest = head[:1], head[1:-2]
        if kind in b"+-:_,#(":
            return end
        n = int(rest)
        if kind in b"$=":
            end += n + 2 if n >= 0 else 0
            while len(self.data) - self.at < end:
                self.more()
            return end
        for _ in range(max(n, 0) * (2 if kind in b"%|" else 1)):
            end = self.measure(end)
        return end

    def reply(self):
        end = self.measure(0)
        got = self.data[self.at:self.at + end]
        self.at += end
        return got

    def ended(self):
        """Nothing more comes, and the connection is closed."""
        try:
            self.more()
        except Ended as e:
            return self.at == len(self.data) and str(e) == "closed"
        return False

    def close(self):
        self.socket.close()


def encode(args):
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


def encode_inline(rng, args):
    words = []
    for a in args:
        plain = re.fullmatch(rb"[A-Za-z0-9:_.|-]+", a)
        if plain and rng.random() < 0.7:
            words.append(a)
        elif rng.random() < 0.5 and b"\n" not in a and b"\r" not in a and b"\0" not in a:
            words.append(b"'" + a.replace(b"'", b"\\'") + b"'" if b"\\" not in a else quoted(a))
        else:
            words.append(quoted(a))
    return b" ".join(words) + rng.choice([b"\r\n", b"\n"])


def quoted(a):
    return b'"' + b"".join(b"\\x%02x" % c if c < 32 or c > 126 or c in b'"\\' else b"%c" % c for c in a) + b'"'


# ---- drawing requests ----

class Draw:
    """Random requests over a few keys of one sequence."""

    def __init__(self, rng, prefix):
        self.rng = rng
        self.keys = [b"%s:%d" % (prefix, i) for i in range(rng.randrange(1, 6))]
        if rng.random() < 0.3:
            self.keys.append(prefix + ":ключ 🚀".encode())
        if rng.random() < 0.1:
            self.keys.append(prefix + b"{tag}\r\n$3\r\n")
        if rng.random() < 0.05:
            self.keys.append(prefix + b"l" * (1024 - len(prefix)))
        self.prefix = prefix
        # Many small values make EXISTS, NX and GET meet what was written before.
        self.odd = rng.random() < 0.3

    def key(self):
        if self.odd and self.rng.random() < 0.03:
            return self.rng.choice([b"", self.prefix + b"\xff\xfe", self.prefix + b"\0", self.prefix + b"l" * 1025])
        return self.rng.choice(self.keys)

    def value(self):
        r = self.rng.random()
        if r < 0.5:
            return b"%d" % self.rng.randrange(10)
        if r < 0.8:
            return self.rng.choice([b"", b" ", b"a\r\nb", b"$-1\r\n", "ö世🚀".encode(), b"\x01\x7f", b"+OK\r\n", b'{"a":[1]}'])
        if self.odd and r < 0.82:
            return self.rng.choice([b"\xff", b"a\0b", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
        if self.odd and r > 0.998:
            return b"v" * self.rng.choice([BIG_BYTES, BIG_BYTES, BIG_BYTES + 1])
        return b"v" * int(2 ** self.rng.uniform(0, 14))

    def many(self, most=6):
        return range(self.rng.randrange(1, most))

    def set_request(self):
        options = self.rng.choices([[], [b"NX"], [b"XX"], [b"GET"], [b"XX", b"GET"], [b"get", b"nx"], [b"NX", b"XX"],
                                    [b"NX", b"NX"], [b"BAD"], [b"GET", b"GET"], [b"KEEPTTL"], self.expiry(), self.expiry()],
                                   [40, 10, 10, 10, 4, 4, 1, 1, 1, 1, 6, 5, 5])[0]
        if self.rng.random() < 0.1:
            options = options + self.expiry()
        return [b"SET", self.key(), self.value(), *options]

    def time(self, absolute, unit):
        """Far enough away that both sides agree whether it has come; or no time at all."""
        r = self.rng.random()
        if r < 0.06:
            return self.rng.choice([b"0", b"-1", b"x", b"1.5", b"", b"+1", b"9223372036854775807", b"9223372036854775808"])
        if absolute and r < 0.2:
            return b"%d" % (self.rng.randrange(1, 1000) * unit)
        seconds = self.rng.randrange(1000, 2000)
        return b"%d" % ((seconds + (int(time.time()) if absolute else 0)) * unit)

    def expiry(self):
        return self.rng.choice([
            [b"EX", self.time(False, 1)], [b"PX", self.time(False, 1000)], [b"EXAT", self.time(True, 1)], [b"pxat", self.time(True, 1000)],
            [b"EX", self.time(False, 1), b"EX", self.time(False, 1)], [b"EX", self.time(False, 1), b"PX", b"1000000"], [b"EX"],
            [b"PERSIST"], [b"KEEPTTL"]])

    def expiring(self):
        condition = self.rng.choice([[], [], [], [b"NX"], [b"XX"], [b"GT"], [b"lt"], [b"XX", b"LT"], [b"NX", b"GT"], [b"GT", b"LT"], [b"no"]])
        return self.rng.choices([
            lambda: [b"EXPIRE", self.key(), self.time(False, 1), *condition],
            lambda: [b"PEXPIRE", self.key(), self.time(False, 1000), *condition],
            lambda: [b"EXPIREAT", self.key(), self.time(True, 1), *condition],
            lambda: [b"PEXPIREAT", self.key(), self.time(True, 1000), *condition],
            lambda: [b"SETEX", self.key(), self.time(False, 1), self.value()],
            lambda: [b"PSETEX", self.key(), self.time(False, 1000), self.value()],
            lambda: [b"GETEX", self.key(), *self.rng.choice([[], self.expiry(), self.expiry(), [b"PERSIST"], [b"NX"]])],
            lambda: [b"PERSIST", self.key()],
            lambda: [self.rng.choice(sorted(NEAR)), self.key()],
        ], [2, 1, 1, 1, 2, 1, 4, 2, 10])[0]()

    def number(self):
        """Something to add; mostly it is one."""
        return self.rng.choice([b"1", b"-1", b"0", b"%d" % self.rng.randrange(-1000, 1000), b"9223372036854775807", b"-9223372036854775808",
                                b"9223372036854775808", b"x", b"", b"1.5", b"+1", b"01"])

    def decimal(self):
        digits = b"%d.%d" % (self.rng.randrange(-9, 10), self.rng.randrange(100))
        return self.rng.choice([digits, digits, digits, digits, b"-0.5", b".25", b"5.", b"3e2", b"1E-2", b"+2", b"7", b"1000.1", b"x", b"", b" 1",
                                b"1 ", b"nan", b"inf", b"1e5000", b"1e-5000", b"1e-4940", b"1.1e4932"])

    def part(self):
        return self.rng.choices([
            lambda: [self.rng.choice([b"INCR", b"DECR"]), self.key()],
            lambda: [self.rng.choice([b"INCRBY", b"DECRBY"]), self.key(), self.number()],
            lambda: [b"INCRBYFLOAT", self.key(), self.decimal()],
            lambda: [b"APPEND", self.key(), self.value()],
            lambda: [b"SETRANGE", self.key(), self.rng.choice([b"0", b"1", b"2", b"3", b"10", b"-1", b"x", b"2000000"]), self.value()],
            lambda: [b"MSETNX", *(x for _ in self.many(4) for x in (self.key(), self.value()))],
        ], [5, 5, 5, 3, 4, 4])[0]()

    def keyed(self):
        return self.rng.choices([
            lambda: [b"GET", self.key()],
            self.set_request,
            lambda: [b"SETNX", self.key(), self.value()],
            lambda: [b"GETSET", self.key(), self.value()],
            lambda: [b"GETDEL", self.key()],
            lambda: [b"MGET", *(self.key() for _ in self.many())],
            lambda: [b"MSET", *(x for _ in self.many() for x in (self.key(), self.value()))],
            lambda: [self.rng.choice([b"DEL", b"UNLINK"]), *(self.key() for _ in self.many())],
            lambda: [self.rng.choice([b"EXISTS", b"TOUCH"]), *(self.key() for _ in self.many())],
            lambda: [self.rng.choice([b"STRLEN", b"TYPE"]), self.key()],
            self.expiring,
            self.part,
            lambda: [self.rng.choice([b"GETRANGE", b"SUBSTR"]), self.key(), *(b"%d" % self.rng.randrange(-12, 12) for _ in "12")],
        ], [30, 25, 5, 5, 5, 10, 8, 8, 8, 5, 25, 25, 4])[0]()

    def tracking(self):
        """Options of CLIENT TRACKING; only used where the whole is an error, as nothing may be pushed here."""
        return self.rng.choices([b"BCAST", b"OPTIN", b"OPTOUT", b"NOLOOP", b"x"], k=self.rng.randrange(4))

    def word(self):
        return self.rng.choice([b"a", b"Foo", b"x" * 130, b"with blank", b"line\r\nbreak", "ü".encode(), b"7", b"-1", b"client"])

    def local(self):
        name = self.rng.choice([b"one", b"two", b"", b"bad name", b"n" * 63, b"\xc3\xa5"])
        return self.rng.choice([
            lambda: [b"PING"],
            lambda: [b"PING", self.word()],
            lambda: [b"PING", b"a", b"b"],
            lambda: [b"ECHO", self.word()],
            lambda: [b"SELECT", self.rng.choice([b"0", b"1", b"-1", b"x", b"00", b"99999999999"])],
            lambda: [b"RESET"],
            lambda: [b"HELLO"],
            lambda: [b"HELLO", self.rng.choice([b"2", b"3", b"3", b"3", b"4", b"x", b"-3"])],
            lambda: [b"HELLO", b"3", b"SETNAME", name],
            lambda: [b"HELLO", b"2", b"AUTH", self.rng.choice([b"default", b"nobody"]), b"pw", b"SETNAME", name],
            lambda: [b"HELLO", b"3", self.rng.choice([b"AUTH", b"SETNAME", b"FOO"])],
            lambda: [b"AUTH", *(self.rng.choice([b"default", b"x"]) for _ in self.many(4))],
            lambda: [b"CLIENT", b"SETNAME", name],
            lambda: [b"CLIENT", b"GETNAME"],
            lambda: [b"CLIENT", b"NO-EVICT", self.rng.choice([b"on", b"off", b"x"])],
            # No name longer than 63 bytes, our limit: Redis has none.
            lambda: [b"CLIENT", b"SETNAME", self.word()[:63]],
            lambda: [b"CLIENT", self.rng.choice([b"nosuch", b"GETNAME", b"ID", b"LIST"]), self.word()],
            lambda: [b"CONFIG", b"GET", self.rng.choice([b"appendonly", b"save", b"databases", b"AppendOnly", b"append[o]nly",
                                                         b"nosuch-*", b"cluster-enabled", b"requirepass"])],
            lambda: [b"CLIENT", b"TRACKING", self.rng.choice([b"off", b"x"]), *self.tracking()],
            lambda: [b"CLIENT", b"TRACKING", b"on", *self.tracking(), self.rng.choice([b"x", b"PREFIX"])],
            lambda: [b"CLIENT", b"TRACKING", self.rng.choice([b"on", b"off"]), b"REDIRECT", self.rng.choice([b"x", b"0", b"-1", b"999999999"])],
            lambda: [b"CLIENT", b"CACHING", self.rng.choice([b"yes", b"no", b"x"])],
            lambda: [b"CLIENT", self.rng.choice([b"GETREDIR", b"TRACKINGINFO"])],
            lambda: [b"CONFIG", self.rng.choice([b"GET", b"nosuch"])],
            lambda: [b"ACL", self.rng.choice([b"WHOAMI", b"USERS", b"LIST", b"GETUSER", b"nosuch"])],
            lambda: [b"ACL", b"GETUSER", self.rng.choice([b"default", b"nobody"])],
            # Nobody else's connection is closed: no filter here takes one.
            lambda: [b"CLIENT", b"KILL", *self.rng.choice([
                [b"1.2.3.4:5"], [b"ID", b"x"], [b"ID", b"0"], [b"ID", b"999999999"], [b"TYPE", b"x"], [b"TYPE", b"pubsub"], [b"USER", b"x"],
                [b"SKIPME", b"x"], [b"ID", b"1", b"TYPE"], [b"a", b"b"], [], [b"ADDR", b"1.2.3.4:5", b"skipme", b"NO"]])],
            lambda: [b"SLOWLOG", *self.rng.choice([[b"GET", b"x"], [b"GET", b"-2"], [b"GET", b"1", b"2"], [b"GET", b"0"], [b"LEN", b"x"], [b"nosuch"], []])],
            lambda: [b"LATENCY", *self.rng.choice([[b"LATEST"], [b"HISTORY", b"command"], [b"RESET"], [b"HISTOGRAM", b"nosuch"], [b"nosuch"], []])],
            lambda: [b"MEMORY", b"USAGE", *self.rng.choice([[b"none"], [b"none", b"SAMPLES"], [b"none", b"SAMPLES", b"x"], [b"none", b"foo"],
                                                            [b"none", b"samples", b"0"], []])],
            lambda: [b"OBJECT", self.rng.choice([b"ENCODING", b"REFCOUNT", b"FREQ"]), b"none"],
            lambda: [b"OBJECT", *self.rng.choice([[b"ENCODING", b"none"], [b"FREQ", b"none"], [b"IDLETIME", b"none"], [b"REFCOUNT", b"none"],
                                                  [b"FREQ"], [b"nosuch", b"a"], []])],
            lambda: self.rng.choice([[b"MODULE", b"LIST"], [b"MODULE", b"nosuch"], [b"ROLE"], [b"ROLE", b"x"], [b"LASTSAVE", b"x"], [b"DEBUG"]]),
            lambda: self.rng.choice([[b"WAIT", b"0", b"0"], [b"WAIT", b"-1", b"7"], [b"WAIT", b"x", b"0"], [b"WAIT", b"0", b"x"], [b"WAIT", b"0", b"-1"],
                                     [b"WAIT"], [b"CLUSTER", b"INFO"], [b"CLUSTER", b"HELP"], [b"CLUSTER"], [b"READONLY"], [b"READWRITE"], [b"READONLY", b"x"]]),
            lambda: [b"CONFIG", b"SET", *self.rng.choice([[], [b"timeout"], [b"nosuch", b"1"], [b"timeout", b"0", b"timeout", b"0"],
                                                          [b"daemonize", b"yes"][:1], [b"databases", b"3"], [b"timeout", b"0"]])],
            lambda: [b"CLIENT", b"REPLY", self.rng.choice([b"x", b"on"])],
            lambda: [b"COMMAND", b"GETKEYS", *self.keyed()],
            lambda: [b"COMMAND", b"GETKEYS", self.rng.choice([b"PING", b"GET", b"nosuch", b"MSET"]), *(self.word() for _ in self.many(3))],
            lambda: [b"COMMAND", self.rng.choice([b"INFO", b"DOCS"]), b"nosuch"],
            lambda: [b"COMMAND", self.rng.choice([b"nosuch", b"COUNT", b"GETKEYS", b"LIST"]), b"x"],
            lambda: [b"INFO", b"nosuch"],
            lambda: [b"SCAN", self.rng.choice([b"x", b" 1", b"18446744073709551616", b"1.5"])],
            lambda: [b"SCAN", b"0", *self.rng.choice([[b"COUNT"], [b"COUNT", b"0"], [b"COUNT", b"x"], [b"NO", b"1"], [b"MATCH"]])],
            lambda: [b"SCAN", b"0", b"MATCH", self.prefix + b"nosuch*", b"COUNT", b"10000"],
            lambda: [b"KEYS", self.rng.choice([self.prefix + b"nosuch*", self.prefix + b"x[a", b""])],
            lambda: [self.rng.choice([b"FLUSHALL", b"FLUSHDB"]), *self.rng.choice([[b"NOW"], [b"SYNC", b"x"]])],
            lambda: [b"TIME", b"x"],
        ])()

    def wrong(self):
        """An unknown command, or a wrong number of arguments."""
        if self.rng.random() < 0.4:
            return [self.rng.choice([b"nosuch", b"GETT", b"", b"n" * 150, b"two words", b"cr\r\nlf", b"\xff"]),
                    *(self.word() for _ in range(self.rng.randrange(4)))]
        name = self.rng.choice([b"get", b"SET", b"SetNX", b"GETSET", b"GETDEL", b"MGET", b"MSET", b"DEL", b"EXISTS", b"STRLEN",
                                b"TYPE", b"ECHO", b"SELECT", b"CLIENT", b"CONFIG", b"AUTH", b"RESET"])
        right = {b"GET": [1], b"SET": range(2, 9), b"SETNX": [2], b"GETSET": [2], b"GETDEL": [1], b"STRLEN": [1], b"TYPE": [1],
                 b"ECHO": [1], b"SELECT": [1], b"RESET": [0], b"MSET": [2, 4, 6]}
        counts = [n for n in range(6) if n not in right.get(name.upper(), range(1, 9))]
        return [name, *(self.rng.choice(self.keys) for _ in range(self.rng.choice(counts)))]

    def request(self):
        args = self.rng.choices([self.keyed, self.local, self.wrong], [80, 14, 6])[0]()
        if self.rng.random() < 0.2:
            args[0] = self.rng.choice([args[0].lower(), args[0].title()])
        return args

    def queued(self):
        """A request that may stand between MULTI and EXEC on both sides, or is wrong on both."""
        while True:
            args = self.rng.choices([self.keyed, self.local, self.wrong], [88, 10, 2])[0]()
            name = args[0].upper()
            if name in (b"AUTH", b"RESET", b"HELLO", b"DEBUG", b"SCAN", b"KEYS", b"RANDOMKEY", b"DBSIZE", b"FLUSHALL", b"FLUSHDB"):
                continue
            if name == b"CLIENT" and len(args) > 1 and args[1].upper() in (b"KILL", b"TRACKING", b"CACHING", b"REPLY"):
                continue
            if name == b"COMMAND" and len(args) == 3 and args[1].upper() == b"GETKEYS":  # "getkeys alone" of KNOWN
                continue
            return args

    def transaction(self):
        requests = [self.queued() for _ in range(self.rng.randrange(0, 8))]
        if self.rng.random() < 0.15:
            requests.insert(self.rng.randrange(len(requests) + 1),
                            self.rng.choice([[b"MULTI"], [b"WATCH", self.keys[0]], [b"UNWATCH"], [b"EXEC", b"x"], [b"WATCH"]]))
        return [[b"MULTI"], *requests, self.rng.choice([[b"EXEC"]] * 9 + [[b"DISCARD"]])]

    def garbage(self):
        """Bytes after which the connection is closed."""
        return self.rng.choice([b"*x\r\n", b"*1\r\n+PING\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*99999999999\r\n", b"GET 'a\r\n",
                                b'GET "a"b\r\n', b"*2\r\n$3\r\nGET\r\n:1\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"*1\r\n$99999999999\r\n"])


# ---- comparing ----

class Mismatch(Exception):
    pass


def show(data):
    return repr(data if len(data) < 200 else data[:60] + b"..%d bytes.." % len(data) + data[-20:])


def known(args, redis, ours, hits):
    """The name of the difference, if it is one that is meant."""
    for name, when, pattern in KNOWN:
        if when(args) and re.fullmatch(pattern, ours, re.S):
            if name == "hello" and hello(redis) != hello(ours):
                return None
            if name == "decimals" and not same_number(redis, ours):
                return None
            hits[name] = hits.get(name, 0) + 1
            return name
    return None


def same_number(redis, ours):
    """Two bulk strings that are the same number to 17 digits."""
    texts = [re.fullmatch(rb"\$\d+\r\n(.*)\r\n", x) for x in (redis, ours)]
    if None in texts:
        return False
    a, b = (decimal.Decimal(t[1].decode()) for t in texts)
    return abs(a - b) <= max(abs(a), abs(b)) * decimal.Decimal("1e-17") + decimal.Decimal("1e-16")


def near(args, redis, ours):
    """Two times that are the same but for the moment of asking."""
    far = NEAR.get(args[0].upper())
    numbers = [re.fullmatch(rb":(\d+)\r\n", x) for x in (redis, ours)]
    return far is not None and None not in numbers and abs(int(numbers[0][1]) - int(numbers[1][1])) <= far


def hello(reply):
    """HELLO's reply without what must differ."""
    words = re.split(rb"\r\n", reply)
    text = b"\n".join(words[1:])
    text = re.sub(rb"\$7\nversion\n\$\d+\n[^\n]*\n", b"", text)
    text = re.sub(rb"\$2\nid\n:\d+\n", b"", text)
    text = re.sub(rb"\$17\nringfence_version\n\$\d+\n[^\n]*\n", b"", text)
    return reply[:1], text


def elements(reply):
    """The raw elements of an array, or None if it is none."""
    end = reply.find(b"\r\n") + 2
    if reply[:1] != b"*" or reply[:2] == b"*-":
        return None

    def measure(at):
        line = reply.find(b"\r\n", at) + 2
        if reply[at:at + 1] in b"$=":
            return line + max(int(reply[at + 1:line - 2]) + 2, 0) if reply[at + 1:at + 2] != b"-" else line
        if reply[at:at + 1] in b"*~%" and reply[at + 1:at + 2] != b"-":
            for _ in range(int(reply[at + 1:line - 2]) * (2 if reply[at:at + 1] == b"%" else 1)):
                line = measure(line)
        return line

    found = []
    while end < len(reply):
        found.append(reply[end:measure(end)])
        end += len(found[-1])
    return found


class Sequence:
    """One sequence on both sides."""

    def __init__(self, number, seed, run, addresses, hits):
        self.rng = random.Random("%s/%d" % (seed, number))
        self.draw = Draw(self.rng, b"diff:%s:%d" % (run, number))
        self.addresses, self.hits, self.log, self.requests = addresses, hits, [], {2: 0, 3: 0}
        self.protos = {}  # of each pair of connections, by its id()
        self.pairs = [self.connect() for _ in range(2)]

    def connect(self):
        pair = [Connection(a) for a in self.addresses]
        self.protos[id(pair)] = 2
        if self.rng.random() < 0.5:
            self.batch(pair, [[b"HELLO", self.rng.choice([b"2", b"3", b"3"])]])
        return pair

    def send(self, pair, data, whole=False):
        pieces = 0 if whole else self.rng.choice([0, 0, 0, 1, 3])
        cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(pieces))
        for c in pair:
            for start, end in zip([0] + cuts, cuts + [len(data)]):
                if end > start:
                    c.socket.sendall(data[start:end])

    def replies(self, pair):
        try:
            return [c.reply() for c in pair]
        except Ended as e:
            raise Mismatch("no reply: %s" % e) from e

    def batch(self, pair, requests):
        data = b""
        for args in requests:
            inline = self.rng.random() < 0.05 and args[0] != b"" and sum(map(len, args)) < 10000
            one = encode_inline(self.rng, args) if inline else encode(args)
            self.log.append((self.pairs.index(pair) if hasattr(self, "pairs") and pair in self.pairs else "?", args))
            data += one
        self.send(pair, data)
        dirty, queued = set(), []
        for args in requests:
            self.requests[self.protos[id(pair)]] += 1
            redis, ours = self.replies(pair)
            if args[0].upper() in (b"HELLO", b"RESET") and redis[:1] in b"%*+":
                self.protos[id(pair)] = 3 if redis[:1] == b"%" else 2
            if redis == b"+QUEUED\r\n":
                queued.append(args)
            parts = [elements(x) for x in (redis, ours)] if args == [b"EXEC"] else [None]
            if None in parts or not len(parts[0]) == len(parts[1]) == len(queued):
                self.compare(args, redis, ours, dirty)
                continue
            for one in zip(queued, *parts):
                self.compare(*one, dirty)
        if dirty:
            self.forget(pair, dirty)
        return not dirty

    def compare(self, args, redis, ours, dirty):
        keys = set(keys_of(args))
        follows = not dirty.isdisjoint(keys)  # in one batch, what ours refused
        if near(args, redis, ours):
            return
        if redis != ours and not follows and known(args, redis, ours, self.hits) is None:
            raise Mismatch("%s\n  redis %s\n  ours  %s" % (show(b" ".join(args)), show(redis), show(ours)))
        if redis != ours or follows:
            dirty |= keys

    def forget(self, pair, keys):
        for c in pair:
            good = [k for k in keys if c is pair[0] or (k != b"" and len(k) <= 1024 and is_text(k))]
            if good:
                c.socket.sendall(encode([b"DEL", *good]))
                c.reply()

    def end(self, pair):
        """QUIT or garbage, and both close; sometimes with requests before and behind."""
        quits = self.rng.random() < 0.5
        before = [[b"GET", self.rng.choice(self.draw.keys)] for _ in range(self.rng.randrange(3))]
        last = encode([b"QUIT"]) if quits else self.draw.garbage()
        self.log.append((last, before))
        behind = encode([b"PING"]) if self.rng.random() < 0.3 else b""
        # In one piece: nobody can send to a connection that is closed already.
        self.send(pair, b"".join(map(encode, before)) + last + behind, whole=True)
        for _ in range(len(before) + 1):
            redis, ours = self.replies(pair)
            if redis != ours:
                raise Mismatch("%s\n  redis %s\n  ours  %s" % (show(last), show(redis), show(ours)))
        if [c.ended() for c in pair] != [True, True]:
            raise Mismatch("%s: not closed" % show(last))

    def subscriptions(self):
        """Subscribing and what a subscriber may do, on a connection of its own. Nothing is ever published there. A request may have several
        replies, so each side is read up to the answer to a PING."""
        rng, pair = self.rng, self.connect()
        names = [self.draw.prefix + b":%d" % i for i in range(3)] + [b"", b"a b", b"[x", "ö".encode()]

        def some(least):
            return [rng.choice(names) for _ in range(rng.randrange(least, 4))]

        for _ in range(rng.randrange(1, 6)):
            requests = []
            for _ in range(rng.randrange(1, 5)):
                requests.append(rng.choices([
                    lambda: [rng.choice([b"SUBSCRIBE", b"PSUBSCRIBE"]), *some(1)],
                    lambda: [rng.choice([b"UNSUBSCRIBE", b"punsubscribe"]), *some(1)],
                    lambda: [rng.choice([b"UNSUBSCRIBE", b"PUNSUBSCRIBE"])],
                    lambda: rng.choice([[b"SUBSCRIBE"], [b"PSUBSCRIBE"], [b"PING"], [b"PING", b"x"], [b"PING", b"x", b"y"], [b"ECHO", b"x"],
                                        [b"GET", self.draw.prefix], [b"DISCARD"], [b"CLIENT", b"GETNAME"], [b"CLIENT", b"nosuch"],
                                        [b"CLIENT", b"SETNAME"], [b"CONFIG", b"GET", b"save"], [b"nosuch", b"x"], [b"PUBSUB", b"NUMPAT", b"x"],
                                        [b"PUBSUB", b"NUMSUB", *some(0)], [b"PUBSUB", b"CHANNELS", self.draw.prefix + b"nosuch*"],
                                        [b"CLIENT", b"REPLY", b"SKIP"], [b"PUBSUB", b"nosuch"], [b"PUBLISH", b"x"], [b"HELLO", b"3"]]),
                    lambda: [b"RESET"],
                ], [6, 3, 2, 8, 1])[0]())
            end = b"end-%d" % rng.randrange(10**9)
            self.log += [("s", r) for r in requests]
            self.requests[self.protos[id(pair)]] += len(requests)
            self.send(pair, b"".join(map(encode, [*requests, [b"PING"], [b"PING", end]])))
            heard = [[], []]
            for c, replies in zip(pair, heard):
                while not replies or end not in replies[-1]:
                    try:
                        replies.append(c.reply())
                    except Ended as e:
                        raise Mismatch("no reply: %s" % e) from e
            for args in requests:
                if args[0].upper() == b"HELLO":
                    heard = [[r for r in replies if b"\r\nproto\r\n" not in r] for replies in heard]
            # Without names all of them are left, in no order.
            if any(len(args) == 1 and args[0].upper().endswith(b"UNSUBSCRIBE") for args in requests):
                heard = [sorted(re.sub(rb"(unsubscribe\r\n).*(:)", rb"\1\2", r, flags=re.S) for r in replies) for replies in heard]
            if heard[0] != heard[1]:
                raise Mismatch("%r\n  redis %r\n  ours  %r" % (requests, *heard))
        for c in pair:
            c.close()

    def transaction(self):
        """MULTI to EXEC in one batch; perhaps with watched keys, which somebody may change."""
        pair, other = self.rng.sample(self.pairs, 2)
        if self.rng.random() < 0.4:
            self.batch(pair, [[b"WATCH", *(self.rng.choice(self.draw.keys) for _ in self.draw.many(3))]])
            change = self.draw.keyed()
            # An APPEND of nothing counts as a change to Redis alone.
            if self.rng.random() < 0.6 and change[0].upper() != b"APPEND" and not self.batch(other, [change]):
                self.batch(pair, [[b"UNWATCH"]])
        self.batch(pair, self.draw.transaction())

    def run(self):
        for _ in range(self.rng.randrange(2, 12)):
            if self.rng.random() < 0.05:
                self.subscriptions()
            if self.rng.random() < 0.25:
                self.transaction()
                continue
            pair = self.rng.choice(self.pairs)
            self.batch(pair, [self.draw.request() for _ in range(self.rng.choice([1, 1, 1, 2, 4, 8]))])
            if self.rng.random() < 0.02:
                self.end(pair)
                at = self.pairs.index(pair)
                for c in pair:
                    c.close()
                self.pairs[at] = self.connect()
        # So that one SCAN goes on seeing all keys there are.
        self.pairs.append(self.connect())
        self.forget(self.pairs[-1], self.draw.keys)

    def close(self):
        for pair in self.pairs:
            for c in pair:
                c.close()


class Redis:
    """A private redis-server on a Unix socket; keeps nothing."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="rf-diff-", dir="/var/tmp")
        self.path = os.path.join(self.folder, "s")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no", "--databases", "1",
             "--dir", self.folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                Connection(self.path).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=400)
    parser.add_argument("--seed", default=str(random.randrange(10**9)))
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    print("differential.py --sequences %d --seed %s --first %d" % (options.sequences, options.seed, options.first), flush=True)
    run = b"%d.%d" % (os.getpid(), time.time_ns() % 10**9)
    good = bad = 0
    hits, requests = {}, {2: 0, 3: 0}
    with Redis() as redis:
        addresses = (redis.path, ("127.0.0.1", int(os.environ["RF_PROXY_PORT"])))
        for number in range(options.first, options.first + options.sequences):
            sequence = None
            try:
                sequence = Sequence(number, options.seed, run, addresses, hits)
                sequence.run()
                good += 1
            except (Mismatch, Ended, OSError) as e:
                bad += 1
                print("not ok - sequence %d: %s" % (number, e))
                for who, args in (sequence.log if sequence else [])[-12:]:
                    print("    %s %s" % (who, [show(a) if isinstance(a, bytes) else a for a in args]))
                if bad == 10:
                    print("stopped after 10 mismatches")
                    break
            finally:
                if sequence:
                    for proto, count in sequence.requests.items():
                        requests[proto] += count
                    sequence.close()
    print("%d requests in RESP2, %d in RESP3; meant differences: %s" % (requests[2], requests[3], ", ".join("%s %d" % h for h in sorted(hits.items())) or "none"))
    print("%d passed, %d failed" % (good, bad))
    sys.exit(0 if bad == 0 and good > 0 else 1)


main()
