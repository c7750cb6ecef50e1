#!/usr/bin/python3
"""Who may include whom: the layers of the house, and what single modules must not know."""
import fnmatch
import os
import re

from checks import files, finish, read, rule

# From top to bottom. A file includes only from its own row or below. A name stands for its .c and .h; with an ending, for that file alone:
# the headers of what is called back (request, session, op) stand below those who call them.
ROWS = [
    ("main", ["proxy/main", "node/main", "ctl/main"]),
    ("a worker, an operator's command", ["proxy/worker", "proxy/reload", "proxy/users_reload", "proxy/balance", "ctl/ctl", "ctl/ring_command", "ctl/user_command", "ctl/purge_command"]),
    ("one connection and its reply queue", [
        "proxy/client", "proxy/client_private", "proxy/client_read", "proxy/client_multi", "proxy/client_watch",
        "proxy/client_memory", "proxy/client_tracking", "proxy/client_monitor", "proxy/client_pause", "proxy/client_redirect", "proxy/client_channels", "proxy/client_auth", "proxy/client_hot", "proxy/request.c", "node/session.c"]),
    ("what a command means", [
        "proxy/local", "proxy/local_*", "proxy/registry", "proxy/eviction", "proxy/forward",
        "node/aspect.c", "node/handlers", "node/handlers_*", "node/exec", "node/exec_reply", "node/look", "node/wish", "node/wish_*", "node/status", "node/op.c", "node/walk"]),
    ("policy", ["proxy/gather", "proxy/gather_*", "proxy/transaction", "proxy/topology", "proxy/request.h", "node/through", "node/through_*", "node/op.h", "node/session.h", "node/sweep"]),
    ("one resource each", ["proxy/upstream", "proxy/upstream_*", "node/cache", "node/cache_*", "node/store", "node/store_*",
                           "node/feed_pg", "node/scout"]),
    ("libpq, libevent", ["node/pg_conn", "node/pg_session", "common/conn", "common/conn_*", "common/reply", "common/service", "common/service_watch", "common/tick"]),
    ("no event loop", [
        "common/buf", "common/change", "common/cli", "common/clock", "common/command", "common/command_exec", "common/command_find", "common/conf", "common/glob", "common/hash", "common/lines", "common/log", "common/pace", "common/plant", "common/random", "common/resp_*",
        "common/ring", "common/ring_file", "common/span", "common/stats", "common/version",
        "proxy/authors", "proxy/env", "proxy/health", "proxy/inbox", "proxy/mailbox", "proxy/multi", "proxy/proxy_conf", "proxy/proxy_stats", "proxy/tracking", "proxy/board", "proxy/channels", "proxy/names", "proxy/monitor", "proxy/pause", "proxy/rates", "proxy/window",
        "common/digest", "common/users", "proxy/rights", "proxy/slowlog", "proxy/timing", "proxy/topk", "proxy/hotkeys", "proxy/copies", "proxy/near",
        "node/aspect.h", "node/backoff", "node/db_clock", "node/distrust", "node/feed", "node/fill_gate", "node/hosts", "node/json_check", "node/node_conf", "node/node_stats", "node/pg_array", "node/range", "node/replica", "node/scope", "node/server", "node/warmup", "node/write_gate", "ctl/ctl.h"]),
]

FOLDERS = {"common": {"common"}, "proxy": {"proxy", "common"}, "node": {"node", "common"}, "ctl": {"ctl", "common"}}

# Files, what they must not include (a pattern over the include's text), and why.
FORBIDDEN = [
    ("common/resp_*", r"sys/socket|netinet|event|unistd|poll|time\.h|conn\.h|clock|service", "the RESP parser knows no sockets and no clock"),
    ("common/ring*", r"time\.h|clock|event|sys/socket|conn|service|stats", "the ring knows no clock, no health and no sockets"),
    ("node/cache*", r"unistd|sys/socket|event|libpq|clock|time\.h|conn|/log\.h|store|through", "the cache does no I/O and asks no clock"),
    ("node/through*", r"unistd|sys/|event|libpq|clock|time\.h|conn|resp_|reply|feed|session|handlers", "the rules do no I/O and ask no clock"),
    ("node/store*", r"resp_|reply|cache\.h|through|session|handlers|command", "the store knows no RESP and no cache"),
    ("node/feed*", r"resp_|reply|cache\.h|through|session|handlers|command", "the feed knows no RESP and no cache"),
    ("proxy/health*", r"^\"(?!health)|<(?!std)", "health is policy alone"),
    ("proxy/*", r"libpq", "the proxy never speaks to PostgreSQL"),
    ("ctl/*", r"event", "the operator's command starts no loop"),
]
# The only files that may know a library.
LIBRARIES = [
    (r"libpq-fe\.h", ["node/pg_conn.*", "node/pg_session.*", "node/store*.c", "node/store_private.h", "node/feed_pg.c", "node/scout.c", "ctl/purge_command.c"]),
    (r"event2/", ["*/main.c", "common/conn*", "common/service*", "common/tick.c", "proxy/worker.c", "proxy/mailbox.c", "proxy/client.c",
                  "proxy/upstream*.c", "node/pg_conn.c", "node/feed_pg.c", "node/store.c", "node/store_queue.c"]),
    (r"jansson", ["node/json_check.c"]),
    (r"xxhash", ["common/hash.c"]),
    (r"openssl", ["common/digest.c"]),
]


def matches(path, name):
    return fnmatch.fnmatchcase(path, name) or fnmatch.fnmatchcase(os.path.splitext(path)[0], name)


def row_of(path):
    """The row that names the file; one that names it exactly wins."""
    exact = [i for i, (_, names) in enumerate(ROWS) if path in names]
    found = exact or [i for i, (_, names) in enumerate(ROWS) if os.path.splitext(path)[0] in names] or \
        [i for i, (_, names) in enumerate(ROWS) for n in names if "*" in n and matches(path, n)]
    return found[0] if found else None


def includes(path):
    return re.findall(r'^#include\s+(["<][^">]+[">])', read(path), re.M)


def main():
    sources = files("common/*.[ch]", "proxy/*.[ch]", "node/*.[ch]", "ctl/*.[ch]")
    graph = {f: [os.path.normpath(os.path.join(os.path.dirname(f), i[1:-1])) for i in includes(f) if i[0] == '"'] for f in sources}
    rule("every source file has its row", ("%s: not in ROWS of tests/check/layers.py" % f for f in sources if row_of(f) is None))
    rule("every row names files that are there", (
        "%s: no such file" % n for _, names in ROWS for n in names if not any(matches(f, n) for f in sources)))
    rule("includes go to the own row or below", (
        "%s (%s) includes %s (%s)" % (f, ROWS[row_of(f)][0], i, ROWS[row_of(i)][0])
        for f, below in graph.items() for i in below
        if None not in (row_of(f), row_of(i)) and row_of(i) < row_of(f)))
    rule("common, proxy, node and ctl stay apart", (
        "%s includes %s" % (f, i) for f, below in graph.items() for i in below
        if i.split("/")[0] not in FOLDERS[f.split("/")[0]]))
    for pattern, unknown, why in FORBIDDEN:
        rule(why, ("%s includes %s" % (f, i) for f in sources if fnmatch.fnmatchcase(f, pattern)
                   for i in includes(f) if re.search(unknown, i)))
    for library, knowers in LIBRARIES:
        rule("only its own modules include %s" % library.replace("\\", ""), (
            "%s" % f for f in sources if any(re.search(library, i) for i in includes(f)) and
            not any(fnmatch.fnmatchcase(f, k) for k in knowers)))
    rule("no header includes a source file", ("%s" % f for f, below in graph.items() for i in below if i.endswith(".c")))
    finish()


main()
