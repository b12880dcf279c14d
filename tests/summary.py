"""Sums up a test run in one last line, `N passed, N failed`: summary.py testlog.json

`meson test` counts executables; this counts the test cases in them, as doctest and unittest report
them. An executable that reports none counts as one case, and one that crashed, hung or failed
without owning up to a failed case counts as at least one failed. What failed is told again with its first
complaints, since they may stand far above. Exit status 0 only if nothing failed and something
passed.
"""

import json
import re
import sys
import textwrap

DOCTEST = re.compile(
    r"^\[doctest\] test cases: +(\d+) \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$", re.M)


# The first lines of what doctest and unittest say of a failure; a blank line ends it.
COMPLAINT = re.compile(r"^(?:\S+:\d+: (?:FATAL )?ERROR: .*|(?:FAIL|ERROR): .*)(?:\n.*\S.*){0,7}", re.M)
MOST_COMPLAINTS = 3
MOST_LINES = 8


def output_of(test):
    return (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")


def complaints(output):
    """What an executable says of its first failures, or else its last lines."""
    found = COMPLAINT.findall(output)[:MOST_COMPLAINTS]
    return found or ["\n".join(output.strip().splitlines()[-MOST_LINES:])]


def cases(output):
    """(passed, failed, skipped) as the executable itself says, or None when it says nothing."""
    if reports := DOCTEST.findall(output):
        return tuple(int(number) for number in reports[-1][1:])
    if reports := UNITTEST.findall(output):
        ran, details = reports[-1]
        count = {name: int(number) for name, number in re.findall(r"([\w ]+)=(\d+)", details)}
        count = {name.strip(): number for name, number in count.items()}
        failed = sum(count.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
        skipped = count.get("skipped", 0)
        return max(0, int(ran) - failed - skipped), failed, skipped
    return None


def count(test):
    """(passed, failed, skipped) of one line of meson's testlog.json."""
    result = test["result"]
    own = cases(output_of(test))
    if result in ("OK", "EXPECTEDFAIL"):
        return own or (1, 0, 0)
    if result == "SKIP":
        return own or (0, 0, 1)
    passed, failed, skipped = own or (0, 0, 0)
    return passed, max(1, failed), skipped


def summarize(lines):
    """The last line, and whether all is well."""
    tests = [json.loads(line) for line in lines if line.strip()]
    counts = [count(test) for test in tests]
    for test, (_, failed, _) in zip(tests, counts):
        if failed:
            print(f"failed: {test['name']} ({test['result']}), {failed} case(s)")
            for complaint in complaints(output_of(test)):
                print(textwrap.indent(complaint, "  "))
    passed, failed, skipped = (sum(column) for column in zip(*counts)) if counts else (0, 0, 0)
    if skipped:
        print(f"{skipped} skipped: what they need is not here")
    return f"{passed} passed, {failed} failed", failed == 0 and passed > 0


if __name__ == "__main__":
    try:
        with open(sys.argv[1], encoding="utf-8") as log:
            line, well = summarize(log)
    except OSError as error:
        print(f"no test ran: {error}")
        line, well = "0 passed, 1 failed", False
    print(line)
    sys.exit(0 if well else 1)
