"""checks: what the checks of the house share: the tracked files, findings, and a last line `N passed, N failed`."""
import fnmatch
import subprocess
import sys

passed = failed = 0


def files(*patterns):
    """Tracked files (and new ones that are not ignored) that match one of the patterns, sorted."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return sorted(f for f in listed if any(fnmatch.fnmatchcase(f, p) for p in patterns))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def rule(name, findings):
    """One rule: passes without findings, else prints them."""
    global passed, failed
    findings = list(findings)
    if findings:
        failed += 1
        print("not ok - %s" % name)
        for finding in findings:
            print("    %s" % finding)
    else:
        passed += 1
        print("ok - %s" % name)


def finish():
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(0 if failed == 0 and passed > 0 else 1)
