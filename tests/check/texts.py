#!/usr/bin/python3
"""Texts and numbers that are declared once: error texts, counters; and SQL that no user's string gets into."""
import fnmatch
import re

from checks import files, finish, read, rule

CODE = ("common/*.[ch]", "proxy/*.[ch]", "node/*.[ch]", "ctl/*.[ch]")
ERROR = r'"-?(?:ERR|DBDOWN|UNCERTAIN|TIMEOUT|BUSY|NODEDOWN|NOAUTH|WRONGPASS|NOPERM|NOPROTO|OOM|MOVED|LOADING|EXECABORT)[ "\\]'
# Where an error text stands outside of common/reply.c, and why.
ERROR_EXCEPTIONS = [
    ("proxy/upstream_own.c", r'span_begins_with\(reply, SPAN\("-[A-Z]+"\)\)', "compares what a node answered"),
]
# Fields of INFO that are no counters with a row, by where they are written: computed at the moment.
STATS = {"proxy": ("proxy/proxy_stats.c", "proxy/proxy_stats.h"), "node": ("node/node_stats.c", "node/node_stats.h")}
# Where SQL may stand as a text, and where PostgreSQL may be sent a text that was put together.
SQL_FILES = ["node/store_sql.c", "node/store_sql_edit.c", "node/pg_session.c", "node/feed_pg.c", "node/store.c", "ctl/purge_command.c", "bench/aside.c"]
SQL_BUILT = [
    ("node/store_sql.c", "the store's texts: identifiers from the configuration, quoted"),
    ("node/feed_pg.c", "LISTEN: the channel's name, quoted"),
    ("ctl/purge_command.c", "the table's name, quoted"),
]
SQL = r'"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|LISTEN|NOTIFY|SET |BEGIN|COMMIT|TRUNCATE|CREATE|ALTER|DROP)\b'


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def lines(path):
    return enumerate(without_comments(read(path)).split("\n"), 1)


def error_texts():
    for path in files(*CODE):
        if path == "common/reply.c":
            continue
        for number, line in lines(path):
            if re.search(ERROR, line) and not any(
                    path == p and re.search(e, line) for p, e, _ in ERROR_EXCEPTIONS):
                yield "%s:%d: %s" % (path, number, line.strip())


def replies():
    """The table's texts, as {enumerator: text}."""
    table = re.search(r"TEXTS\[\] = \{(.*?)\n\};", read("common/reply.c"), re.S).group(1)
    return {name: "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))
            for name, text in re.findall(r"\[(REPLY_\w+)\] =(.*?),\n(?=\s*\[|$)", table + "\n", re.S)}


def counters():
    for side, (table, header) in STATS.items():
        enumerators = re.findall(r"^\s+(%s_STAT_\w+)," % side.upper(), read(header), re.M)
        rows = dict(re.findall(r'\[(%s_STAT_\w+)\] =\s*\{\s*"\w+",\s*"(\w+)"' % side.upper(), read(table)))
        for name in enumerators:
            if name not in rows:
                yield "%s: no row for %s" % (table, name)
        for name, field in rows.items():
            for path in files(side + "/*.c"):
                if path != table and re.search(r'"%s:%%' % field, read(path)):
                    yield "%s writes the field %s by hand; its row is in %s" % (path, field, table)
            users = [p for p in files(side + "/*.c") if p != table and re.search(r"\b%s\b" % name, read(p))]
            if not users:
                yield "%s: nobody counts %s" % (table, name)
        if len(set(rows.values())) != len(rows):
            yield "%s: a name twice" % table
        if not rows:
            yield "%s: no rows found" % table


def sql():
    for path in files(*CODE, "bench/*.[ch]"):
        for number, line in lines(path):
            if re.search(r"\bPQ(exec|sendQuery|escapeString\w*|prepare)\s*\(", line) and path != "bench/aside.c":
                yield "%s:%d: %s" % (path, number, line.strip())
            if re.search(SQL, line) and path not in SQL_FILES:
                yield "%s:%d: SQL outside of %s: %s" % (path, number, ", ".join(SQL_FILES), line.strip())
            if re.search(r'printf\(.*%s' % SQL, line) and path not in [p for p, _ in SQL_BUILT]:
                yield "%s:%d: SQL is put together: %s" % (path, number, line.strip())


def main():
    texts = replies()
    enumerators = re.findall(r"^\s+(REPLY_\w+),", read("common/reply.h"), re.M)
    everything = "".join(read(f) for f in files(*CODE) if not fnmatch.fnmatchcase(f, "common/reply.*"))
    rule("error texts stand in common/reply.c alone", error_texts())
    rule("every error has its text, and every text its error", (
        "%s" % n for n in set(enumerators) ^ set(texts) if n != "REPLY_ERROR_COUNT"))
    rule("no error text stands there twice", (
        "%s: %s" % (n, t) for n, t in texts.items() if list(texts.values()).count(t) > 1))
    rule("every error is used", ("%s" % n for n in texts if not re.search(r"\b%s\b" % n, everything)))
    rule("every counter has one row and is counted", counters())
    rule("SQL stands where it may, and is never put together from a user's string", sql())
    finish()


main()
