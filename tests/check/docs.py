#!/usr/bin/python3
"""Documents against the programs: options in configs/ and docs/configuration.md, commands in docs/commands.md and README.md.

docs.py            checks
docs.py --write    writes docs/configuration.md and docs/commands.md anew from what the programs say
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from checks import finish, read, rule

BIN = os.environ.get("RF_BIN", "build/release/bin")
DAEMONS = ("proxy", "node")
READY_SECONDS = 20


def options(daemon):
    """[(name, default, range, help)] as --help prints the rows."""
    text = subprocess.run([BIN + "/ringfence-" + daemon, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = re.findall(r"^# (.*)\n# \((.*)\)\n# ([a-z0-9-]+) (.*)$", text, re.M)
    return [(name, default, limits, about) for about, limits, name, default in found]


def shown(path):
    """[(name, value)] of the sample file: its option lines are the commented ones behind a line `# (range)`."""
    return re.findall(r"^# \(.*\)\n#? ?([a-z0-9-]+) (.*)$", read(path), re.M)


def ask(port, *args):
    """One RESP2 request; its reply as Python values."""
    with socket.create_connection(("127.0.0.1", port), timeout=READY_SECONDS) as s, s.makefile("rb") as f:
        s.sendall(b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a.encode()) for a in args))

        def value():
            line = f.readline()
            kind, rest = line[:1], line[1:-2].decode()
            if kind in b"+:-":
                return rest
            if kind == b"$":
                return f.read(int(rest) + 2)[:-2].decode()
            return [value() for _ in range(int(rest))]

        return value()


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def proxy_says():
    """COMMAND DOCS, COMMAND HELP and so on, and INFO, of a proxy whose one node is not there."""
    with tempfile.TemporaryDirectory(prefix="rf-check-") as folder:
        ring, log = folder + "/ring.conf", folder + "/log"
        with open(ring, "w", encoding="utf-8") as f:
            f.write("node nobody 127.0.0.1:1\n")
        with open(log, "w+", encoding="utf-8") as out:
            proxy = subprocess.Popen([BIN + "/ringfence-proxy", "--ring-file", ring, "--port", "0", "--bind", "127.0.0.1",
                                      "--workers", "1"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            port = wait_for_port(proxy, log)
            helps = {c: ask(port, c, "HELP") for c in ("client", "command", "config")}
            return ask(port, "COMMAND", "DOCS"), helps, ask(port, "INFO", "everything")
        finally:
            proxy.terminate()
            proxy.wait(READY_SECONDS)


def wait_for_port(proxy, log):
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and proxy.poll() is None:
        found = re.search(r" proxy_ready .*\bport=(\d+)", read(log))
        if found:
            return int(found.group(1))
        time.sleep(0.02)
    raise RuntimeError("the proxy did not start: " + read(log))


def cell(text):
    return text.replace("|", "\\|")


def configuration_page(rows):
    page = ["# Options", "", "Written by `tests/check/docs.py --write` from what `--help` prints; `make check` sees to it that it is current.", ""]
    for daemon in DAEMONS:
        page += ["## ringfence-%s" % daemon, "", "| option | default | range | what it is |", "|---|---|---|---|"]
        page += ["| `%s` | `%s` | %s | %s |" % (n, d, cell(r), cell(h)) for n, d, r, h in rows[daemon]]
        page.append("")
    return "\n".join(page)


def syntax(args):
    """The text of a list of arguments, from COMMAND DOCS."""
    out = []
    for arg in map(pairs, args):
        inner = [syntax([a]) for a in arg.get("arguments", [])]
        text = ("|" if arg["type"] == "oneof" else " ").join(inner) if inner else arg.get("token", arg["name"])
        flags = arg.get("flags", [])
        if "multiple" in flags:
            text = text + " [" + text + " ...]" if "optional" not in flags else text + " ..."
        if "optional" in flags:
            text = "[" + text + "]"
        elif arg["type"] == "oneof":
            text = "(" + text + ")"
        out.append(text)
    return " ".join(out)


def commands_page(docs):
    page = ["# Commands", "", "Written by `tests/check/docs.py --write` from COMMAND DOCS; `make check` sees to it that it is current.",
            "", "| command | what it does | cost | in Redis since |", "|---|---|---|---|"]

    def row(name, doc):
        text = (name.upper().replace("|", " ") + " " + syntax(doc.get("arguments", []))).strip()
        page.append("| `%s` | %s | %s | %s |" % (cell(text), cell(doc["summary"]), cell(doc["complexity"]), doc["since"]))

    for name, doc in pairs(docs).items():
        doc = pairs(doc)
        row(name, doc)
        for sub, sub_doc in pairs(doc.get("subcommands", [])).items():
            row(sub, pairs(sub_doc))
    return "\n".join(page) + "\n"


def table_rows():
    """Names of the rows of common/command.c that clients may use."""
    rows = re.findall(r'\.name = "([a-z.]+)".*?\.flags = ([^,]+),', read("common/command.c"), re.S)
    return {name for name, flags in rows if "LINK" not in flags}


def main():
    rows = {d: options(d) for d in DAEMONS}
    docs, helps, info = proxy_says()
    pages = {"docs/configuration.md": configuration_page(rows), "docs/commands.md": commands_page(docs)}
    if sys.argv[1:] == ["--write"]:
        for path, text in pages.items():
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return
    for daemon in DAEMONS:
        path = "configs/%s.conf" % daemon
        wanted, have = {(n, d) for n, d, _, _ in rows[daemon]}, shown(path)
        rule("%s shows every option with its default, and no other" % path,
             ["%s %s: missing" % p for p in sorted(wanted - set(have))] + ["%s %s: no such option or default" % p for p in sorted(set(have) - wanted)] +
             ["%s: twice" % n for n, _ in have if [m for m, _ in have].count(n) > 1] + ([] if rows[daemon] else ["--help has no rows"]))
    for path, text in pages.items():
        rule("%s is current" % path, [] if os.path.exists(path) and read(path) == text else ["run tests/check/docs.py --write"])
    names, visible = table_rows(), set(pairs(docs))
    rule("COMMAND DOCS has the rows of common/command.c that are no link commands", names ^ visible)
    listed = read("README.md").split("## Commands", 1)[-1].split("\n## ", 1)[0]
    rule("README.md names every command", sorted(n.upper() for n in names if not re.search(r"\b%s\b" % n.upper(), listed)))
    rule("HELP names every subcommand", (
        "%s %s" % (c, s) for c, lines in helps.items() for s in pairs(pairs(pairs(docs)[c])["subcommands"])
        if not any(line.split(" ")[0].lower() == s.split("|")[1] for line in lines)))
    fields = re.findall(r"^([a-z0-9_]+):", info.replace("\r", ""), re.M)
    rule("INFO has each field once", sorted({f for f in fields if fields.count(f) > 1}) + ([] if len(fields) > 40 else ["too few fields"]))
    finish()


main()
