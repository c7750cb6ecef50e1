"""How results are shown: a table on the terminal, docs/performance.md and its picture, bench/recorded.json."""

import datetime
import html
import json
import os
import platform
import re
import subprocess

from lab import HERE

DOC = os.path.join(HERE, "docs", "performance.md")
PICTURE = os.path.join(HERE, "docs", "performance.svg")
RECORDED = os.path.join(HERE, "bench", "recorded.json")
TOLERANCE = 0.25  # of a recorded ratio; the runs of a shared machine differ by so much


def word(met):
    return {True: "yes", False: "NO", None: ""}[met]


def number(value):
    return f"{value:.3f}" if value < 10 else f"{value:.2f}"


def table(results):
    rows = [("goal", "bound", "min", "median", "max", "met")]
    for r in results:
        unit = "" if r["unit"] == "x" else " " + r["unit"]
        rows.append((r["text"], r["bound"] or "", number(r["min"]) + unit, number(r["median"]) + unit, number(r["max"]) + unit,
                     word(r["met"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
             for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def write_json(path, results, details):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"results": results, "runs": details}, file, indent=1)
        file.write("\n")


# ---- recorded ratios ----

def recorded():
    if not os.path.exists(RECORDED):
        return {}
    with open(RECORDED, encoding="utf-8") as file:
        return json.load(file)


def record_values(values):
    known = recorded()
    known.update({name: round(value, 4) for name, value in values.items()})
    with open(RECORDED, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=1, sort_keys=True)
        file.write("\n")


def record(results):
    record_values({r["goal"]: r["median"] for r in results})


def is_worse(result, before):
    """More than the tolerance on the bad side; where nothing is promised, on either side of lower-is-better."""
    if (result["bound"] or "<=").startswith(">="):
        return result["median"] < before * (1 - TOLERANCE)
    return result["median"] > before * (1 + TOLERANCE)


def check(results):
    known = recorded()
    compared = [r for r in results if r["bound"] and r["goal"] in known]
    worse = [r for r in compared if is_worse(r, known[r["goal"]])]
    for r in worse:
        print(f"worse than recorded: {r['text']}: {number(r['median'])} now, {number(known[r['goal']])} recorded")
    print(f"bench-check: {len(compared)} figures compared, {len(worse)} worse by more than {TOLERANCE:.0%}")
    return 1 if worse or not compared else 0  # nothing recorded is no pass


# ---- the document ----

def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    versions = []
    for argv in (["redis-server", "--version"], ["nutcracker", "--version"], ["memcached", "--version"], ["pgbench", "--version"]):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
        versions.append(f"{argv[0]} {found.group(0) if found else '?'}")
    return f"{os.cpu_count()} cores of {model or platform.machine()}; {', '.join(versions)}"


def absolute(details, scenarios):
    """What each contender did, for orientation: medians over the repeats."""
    lines = ["| scenario | contender | requests/s | p50 us | p99 us | CPU us per request |", "|---|---|---|---|---|---|"]
    for scenario in scenarios:
        for name in scenario.contenders:
            runs = [figures[name] for figures in details.get(scenario.name, []) if "per_second" in figures[name]]
            if not runs:
                continue
            run = sorted(runs, key=lambda r: r["per_second"])[len(runs) // 2]
            latency = run.get("latency_us", {})
            cpu = ", ".join(f"{role} {value:.2f}" for role, value in run.get("cpu_us_per_request", {}).items())
            cells = [scenario.name, name, f"{run['per_second']:,.0f}"]
            cells += [f"{latency[p]:,.0f}" if p in latency else "" for p in ("p50", "p99")]
            lines.append("| " + " | ".join(cells + [cpu]) + " |")
    return lines


def generated(results, details, scenarios, args):
    command = "make bench" + (f" SCENARIO='{' '.join(args.scenario)}'" if args.scenario else "")
    command += f" REPEATS={args.repeats} SECONDS_EACH={args.seconds} WRITE=yes"
    lines = [f"{datetime.date.today()}, `{command}`; {machine()}.", "",
             "| goal | bound | min | median | max | met |", "|---|---|---|---|---|---|"]
    for r in results:
        unit = "" if r["unit"] == "x" else " " + r["unit"]
        lines.append(f"| {r['text']} | {r['bound'] or '-'} | {number(r['min'])}{unit} | **{number(r['median'])}**{unit} | "
                     f"{number(r['max'])}{unit} | {word(r['met'])} |")
    lines += ["", "The same run in absolute figures, the median repeat of each contender. They hold for that machine on that day only;",
              "`load` is the generator.", ""]
    return lines + absolute(details, scenarios)


def replace_block(name, lines):
    """What stands between the two marks of `name` in docs/performance.md is made anew."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    with open(DOC, encoding="utf-8") as file:
        text = file.read()
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"docs/performance.md has no marks for {name}")
    with open(DOC, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)


def write_docs(results, details, scenarios, args):
    replace_block("figures", generated(results, details, scenarios, args))
    with open(PICTURE, "w", encoding="utf-8") as file:
        file.write(picture(results))


# ---- the picture ----

ROW, LEFT, WIDTH, BAR = 30, 470, 330, 12


def factor(result):
    """How many times better than its bound: above 1 the goal is met."""
    side, limit = result["bound"].split()
    values = [max(result[k], 1e-9) for k in ("min", "median", "max")]
    limit = float(limit)
    return sorted(v / limit if side == ">=" else limit / v for v in values)


def picture(results):
    judged = [r for r in results if r["bound"]]
    top = max([2.0] + [factor(r)[2] for r in judged])
    scale = WIDTH / min(top, 4.0)
    height = ROW * len(judged) + 70
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height}" font-family="sans-serif" font-size="13">',
           '<style>text{fill:#222}.b{fill:#fff}.ok{fill:#2a7f62}.no{fill:#b5462f}.r{stroke:#555}.g{stroke:#888;stroke-dasharray:4 3}'
           '@media(prefers-color-scheme:dark){text{fill:#ddd}.b{fill:#161616}.r{stroke:#bbb}}</style>',
           f'<rect class="b" width="100%" height="{height}"/>',
           '<text x="10" y="24" font-size="16">Goals of speed: how far the measured ratio is beyond its bound (1 = just met)</text>']
    for i, r in enumerate(judged):
        y = 48 + i * ROW
        low, mid, high = (min(v, 4.0) for v in factor(r))
        kind = "ok" if r["met"] else "no"
        out.append(f'<text x="{LEFT - 10}" y="{y + 11}" text-anchor="end">{html.escape(r["text"])}</text>')
        out.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{mid * scale:.1f}" height="{BAR}"/>')
        out.append(f'<line class="r" x1="{LEFT + low * scale:.1f}" x2="{LEFT + high * scale:.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}"/>')
        unit = "" if r["unit"] == "x" else " " + r["unit"]
        out.append(f'<text x="{LEFT + max(mid, high) * scale + 6:.1f}" y="{y + 11}" font-size="11">{number(r["median"])}{unit} ({html.escape(r["bound"])})</text>')
    x = LEFT + scale
    out.append(f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="40" y2="{height - 20}"/>')
    return "\n".join(out + ["</svg>", ""])
