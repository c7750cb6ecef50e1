#!/usr/bin/python3
"""`make bench`: every goal of speed as a ratio against a peer, measured side by side in this run.

Absolute numbers drift with the machine and with who else uses it; ratios of interleaved runs stay. So only
ratios are judged. Contenders of a scenario run in turn, several times; the median is judged.
"""

import argparse
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report  # noqa: E402 pylint: disable=wrong-import-position
from lab import Failed, Lab  # noqa: E402 pylint: disable=wrong-import-position
from scenarios import SCENARIOS  # noqa: E402 pylint: disable=wrong-import-position


def log(text):
    print(text, file=sys.stderr, flush=True)


def measure(lab, scenario, repeats):
    """[{contender: figures}] per repeat; the order turns, so that a drift hits each contender alike."""
    if scenario.prepare:
        scenario.prepare(lab)
    names = list(scenario.contenders)
    runs = []
    for repeat in range(repeats):
        turn = repeat % len(names)
        figures = {}
        for name in names[turn:] + names[:turn]:
            figures[name] = scenario.contenders[name](lab)
        runs.append(figures)
        values = "   ".join(f"{goal.name} {goal.value(figures):.3f}" for goal in scenario.goals)
        log(f"  {repeat + 1}/{repeats}  {values}")
    return runs


def result(scenario, goal, runs):
    values = [goal.value(figures) for figures in runs]
    median = statistics.median(values)
    return {"scenario": scenario.name, "goal": goal.name, "text": goal.text, "unit": goal.unit,
            "bound": None if goal.bound is None else f"{goal.bound[0]} {goal.bound[1]:g}",
            "min": min(values), "median": median, "max": max(values), "met": goal.met(median)}


def choose(names):
    known = {s.name: s for s in SCENARIOS}
    if not names:
        return SCENARIOS
    unknown = [n for n in names if n not in known]
    if unknown:
        raise SystemExit(f"no scenario {unknown[0]!r}; there are: {' '.join(known)}")
    return [known[n] for n in names]


def run_all(scenarios, args):
    """A scenario that fails does not take the others with it: its name is in the third result."""
    results, details, failed = [], {}, []
    lab = Lab(args.seconds, args.nice)
    try:
        for scenario in scenarios:
            log(f"{scenario.name}: {scenario.about}")
            try:
                runs = measure(lab, scenario, args.repeats)
            except Failed as failure:
                log(f"  failed: {failure}")
                failed.append(scenario.name)
                continue
            details[scenario.name] = runs
            results += [result(scenario, goal, runs) for goal in scenario.goals]
    finally:
        lab.close()
    return results, details, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", help="only these")
    parser.add_argument("--list", action="store_true", help="name the scenarios and what they stand for")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of each contender")
    parser.add_argument("--nice", type=int, default=0, help="of all that is measured; below 0 (root only) where others use the machine")
    parser.add_argument("--json", metavar="FILE", help="all figures of all runs")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/performance.md and its picture")
    parser.add_argument("--check", action="store_true", help="compare with bench/recorded.json")
    parser.add_argument("--record", action="store_true", help="write bench/recorded.json")
    args = parser.parse_args()
    if args.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name}\n    {scenario.about}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` stops what was started
    began = time.time()
    results, details, failed = run_all(choose(args.scenario), args)
    print(report.table(results))
    print(f"{len(results)} figures, {args.repeats} repeats of {args.seconds} s, {time.time() - began:.0f} s in all")
    if failed:
        print(f"failed: {' '.join(failed)}")
        return 1
    if args.json:
        report.write_json(args.json, results, details)
    if args.write:
        report.write_docs(results, details, SCENARIOS, args)
    if args.record:
        report.record(results)
    if args.check:
        return report.check(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
