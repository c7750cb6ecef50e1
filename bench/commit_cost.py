#!/usr/bin/python3
"""`make bench-commit`: what a commit of SETs costs, layer by layer: CPU time of the whole machine (idle otherwise) for one transaction of
pgbench with one client, without what an empty statement costs; 21 rows are what 64 clients bring to one of three nodes.
"""

import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import KEYS, NUMBER_BASE, PAYLOAD, Lab  # noqa: E402 pylint: disable=wrong-import-position
from scenarios import fill_bare  # noqa: E402 pylint: disable=wrong-import-position

ROWS, TRANSACTIONS, REPEATS = (1, 21), 3000, 5


def batch(table, rows, ours):
    """The upsert of `rows` keys next to each other; `ours`: with what a node's statement sets beside the payload."""
    arrays = ", ".join(f"(SELECT array_agg({what}) FROM generate_series(0, {rows - 1}) AS i)::text[]"
                       for what in ("'bench:' || (CAST(:n AS bigint) + i)", f"'{PAYLOAD}' || ''::text"))
    version = f"nextval('{table}_version')"
    columns, values = ("key, payload, active, version", f"k, p, true, {version}") if ours else ("key, payload", "k, p")
    more = f", active = true, version = {version}, expires_at = NULL, updated_at = now()" if ours else ""
    return (f"\\set n random({NUMBER_BASE}, {NUMBER_BASE + KEYS - rows - 1})\n"
            f"INSERT INTO {table} AS t ({columns}) SELECT {values} FROM unnest({arrays}) AS u (k, p)"
            f" ON CONFLICT (key) DO UPDATE SET payload = EXCLUDED.payload{more};\n")


LAYERS = [("the rows, in a table that has nothing else", "bare", False),
          ("and their versions and times", "untold.entry", True),
          ("and the feed's triggers, on a channel that nobody hears", "unheard.entry", True),
          ("and three nodes that hear it", "ringfence.entry", True)]


def prepare(lab):
    """Two more of our tables: one whose feed is off, and one to which nobody listens."""
    fill_bare(lab)
    for schema in ("untold", "unheard"):
        lab.schema(schema)
        lab.sql(f"INSERT INTO {schema}.entry (key, payload) SELECT key, payload FROM bare; ANALYZE {schema}.entry")
    lab.sql("ALTER TABLE untold.entry DISABLE TRIGGER ALL; CHECKPOINT")
    lab.everywhere()


def busy_s():
    """Of all cores: user, nice, system, interrupts."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:8]]
    return (sum(fields[:3]) + sum(fields[5:7])) / os.sysconf("SC_CLK_TCK")


def cost_us(lab, script):
    before = busy_s()
    lab.pgbench(script, 1, TRANSACTIONS)
    return (busy_s() - before) * 1e6 / TRANSACTIONS


def main():
    lab = Lab(1, 0)
    try:
        prepare(lab)
        cases = {(name, rows): batch(table, rows, ours) for name, table, ours in LAYERS for rows in ROWS}
        cases["nothing"] = "SELECT 1;\n"
        found = {case: [] for case in cases}
        for _ in range(REPEATS):
            for case, script in cases.items():
                found[case].append(cost_us(lab, script))
        median = {case: statistics.median(costs) for case, costs in found.items()}
        print("| a commit of | " + " | ".join(f"{rows} SET{'s' * (rows > 1)}, us" for rows in ROWS) + f" | a SET of {ROWS[-1]}, us |")
        print("|---|" + "---|" * (len(ROWS) + 1))
        for name, _, _ in LAYERS:
            costs = [median[name, rows] - median["nothing"] for rows in ROWS]
            print(f"| {name} | " + " | ".join(f"{cost:.0f}" for cost in costs) + f" | {costs[-1] / ROWS[-1]:.1f} |")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
