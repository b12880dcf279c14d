"""once top, and once stats --by: what there is in a store and what happens in it, in a terminal, in a
pipe and as JSON."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from common import LAYOUTS, NOW, HOUR, TIMEOUT_S, TOOL, ToolTest, answered, event_row, key_row, main
from live_reader_test import Writer


END_OF_PICTURE = b"\x1b[?2026l"


class Terminal:
    """The tool in a terminal of its own; keeps the screen as a terminal would show it."""

    def __init__(self, test, *arguments, rows=24, columns=100):
        self.main, side = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(side)  # before the tool can have changed it
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen([TOOL, *map(str, arguments)], stdin=side, stdout=side,
                                        stderr=side, env=environment, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.side = side
        self.bytes = b""
        test.addCleanup(self.close)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self.main, self.side):
            os.close(descriptor)

    def resize(self, rows, columns):
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout):
        if not select.select([self.main], [], [], timeout)[0]:
            return False
        self.bytes += os.read(self.main, 65536)
        return True

    def press(self, key):
        os.write(self.main, key.encode())

    def screen(self):
        """The lines of the last whole picture; none before there is one."""
        ended = self.bytes.rpartition(END_OF_PICTURE)[0]
        picture = ended.rpartition(b"\x1b[H")[2].decode(errors="replace")
        # The terminal puts a carriage return of its own before each newline.
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", picture).split("\n")
        return lines if lines[-1] else lines[:-1]

    def until(self, holds, what):
        """Reads until a picture has it; the picture."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (self.screen() and holds(self.screen())):
            assert time.monotonic() < deadline, (what, self.screen())
            assert self.read(1) or self.process.poll() is None, (what, self.screen())
        return self.screen()

    def end(self):
        deadline = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode


def names(lines):
    """The last column of the table."""
    head = next(i for i, line in enumerate(lines) if "done/s" in line)
    return [line.split()[-1] for line in lines[head + 1 :] if line.strip() and "quit" not in line]


# In the order in which they are printed; between the last two stands average_ttl, which changes.
FIGURES = ["active", "in_progress", "completed", "failed", "in_doubt", "released", "expired", "bytes"]


def plain(done):
    """What is printed where there is no terminal: the figures by name, and the names of labels."""
    columns = [line.split("\t") for line in done.stdout.decode().splitlines()]
    return ({line[0]: int(line[1]) for line in columns if len(line) == 2},
            [line[-1] for line in columns if len(line) != 2])


class Top(ToolTest):
    def store(self, layout=None):
        return self.make_store(
            [row for i in range(3) for row in answered("acme/charge/%d" % i, b"x" * 10)],
            answered("acme/refund/1", b"x" * 5000),
            key_row("beta/charge/1", "in_progress"),
            key_row("beta/charge/2", "in_doubt"),
            key_row("plain", "released"),
            event_row(1), event_row(2, "dead"), event_row(3, "delivered"), layout=layout)

    def test_stats_by(self):
        for layout in LAYOUTS:
            store = self.store(layout)
            stats = self.json_of("stats", store, "--by", "both")
            self.assertEqual(stats["active"], 7)
            self.assertGreater(stats["oldest_pending"], HOUR - 60_000)
            self.assertEqual([(of["tenant"], of["operation"], of["active"]) for of in stats["by"]],
                             [("", "", 1), ("acme", "charge", 3), ("acme", "refund", 1),
                              ("beta", "charge", 2)])
            self.assertEqual(sum(of["bytes"] for of in stats["by"]), stats["bytes"])
            since = time.time() * 1000 - NOW
            self.assertAlmostEqual(stats["average_ttl"], 24 * HOUR - since, delta=10_000)
            tenants = self.json_of("stats", store, "--by", "tenant")["by"]
            self.assertEqual([(of["tenant"], of["completed"]) for of in tenants],
                             [("", 0), ("acme", 4), ("beta", 0)])
            self.assertNotIn("operation", tenants[0])
            operations = self.json_of("stats", store, "--by", "operation")["by"]
            self.assertEqual([(of["operation"], of["active"]) for of in operations],
                             [("", 1), ("charge", 5), ("refund", 1)])
            self.assertEqual(operations[1]["in_doubt"], 1)
            text = self.once("stats", store, "--by", "tenant").stdout.decode().splitlines()
            columns = [line.split("\t") for line in text]
            self.assertEqual([line[-1] for line in columns], ["-", "acme", "beta"])
            self.assertEqual([[int(number) for number in line[:7] + line[8:9]] for line in columns],
                             [[of[name] for name in FIGURES] for of in tenants])
            self.assertAlmostEqual(int(columns[1][7]), tenants[1]["average_ttl"], delta=10_000)
            self.assertNotIn("by", self.json_of("stats", store))
        self.once("stats", store, "--by", "colour", code=64)

    def test_stats_by_in_a_terminal(self):
        terminal = Terminal(self, "stats", self.store(), "--by", "tenant")
        self.assertEqual(terminal.end(), 0)
        text = terminal.bytes.decode().splitlines()
        self.assertEqual([line.split()[-1] for line in text if line.strip()],
                         ["tenant", "-", "acme", "beta"])

    def test_names_are_written_as_in_keys(self):
        store = self.make_store(answered("a%2Fb/%25%09/x"))
        for command in (["stats", store, "--by", "both"], ["top", store]):
            self.assertEqual(plain(self.once(*command))[1], ["a%2Fb/%25%09"])
        terminal = Terminal(self, "top", store, "--interval", "60s")
        terminal.until(lambda lines: names_or_none(lines) == ["a%2Fb/%25%09"], "the same")

    def test_where_nobody_can_press_q_it_prints_once(self):
        store = self.store()
        figures, labels = plain(self.once("top", store))
        self.assertEqual([figures[name] for name in
                          ("active", "in_progress", "in_doubt", "events_pending",
                           "events_delivered", "events_dead")], [7, 1, 1, 1, 1, 1])
        self.assertNotIn("completed_per_second", figures)  # there is nothing to compare with
        self.assertEqual(figures.keys(), {name for name, value in self.json_of("top", store).items()
                                          if isinstance(value, int)})
        self.assertEqual(labels, ["acme/charge", "beta/charge", "-/-", "acme/refund"])
        waiting = self.make_store(event_row(1, retries=1, next_attempt_at=NOW + HOUR))
        self.assertEqual(plain(self.once("top", waiting))[0]["events_waiting"], 1)
        by_bytes = self.once("top", store, "--sort", "bytes", "--by", "operation")
        self.assertEqual(plain(by_bytes)[1][0], "refund")
        two = self.once("top", store, "--count", "2", "--interval", "100ms").stdout
        first, second = two.decode().split("\n\n")
        self.assertNotIn("per_second", first)
        self.assertIn("\ncompleted_per_second\t0.0\n", second)
        for wrong in (["--interval", "1ms"], ["--interval", "x"], ["--sort", "colour"],
                      ["--by", "x"], ["--count", "-1"]):
            self.once("top", store, *wrong, code=64)
        self.once("top", self.fresh_path(), code=74)

    def test_json_lines_tell_what_happens_per_second(self):
        for layout in LAYOUTS:
            store = self.fresh_path()
            self.once("load", store, "--layout", layout, stdin=b'{"table":"end","rows":0}\n')
            writer = Writer(self, store)
            writer.ask("write 5")
            child = subprocess.Popen(
                [TOOL, "top", store, "--json", "--interval", "200ms", "--count", "3"],
                stdout=subprocess.PIPE, bufsize=0)
            self.addCleanup(child.stdout.close)
            first = json.loads(child.stdout.readline())
            self.assertEqual((first["elapsed"], first["per_second"]), (None, None))
            self.assertEqual(first["completed"], 5)
            writer.ask("write 40")
            # What was written may show in either of the two that come.
            looks = [json.loads(child.stdout.readline()) for _ in range(2)]
            self.assertEqual(child.wait(timeout=TIMEOUT_S), 0)
            done = sum(look["per_second"]["completed"] * look["elapsed"] / 1000 for look in looks)
            self.assertAlmostEqual(done, 40, places=3)
            by_label = sum(of["per_second"]["completed"] * look["elapsed"] / 1000
                           for look in looks for of in look["by"])
            self.assertAlmostEqual(by_label, 40, places=3)
            self.assertEqual(looks[-1]["completed"], 45)
            self.assertGreaterEqual(looks[0]["elapsed"], 200)

    def test_live_in_a_terminal(self):
        for layout in LAYOUTS:
            store = self.fresh_path()
            self.once("load", store, "--layout", layout, stdin=b'{"table":"end","rows":0}\n')
            writer = Writer(self, store)
            writer.ask("write 3")
            terminal = Terminal(self, "top", store, "--interval", "100ms")
            terminal.until(lambda lines: " 3 active" in lines[1], "what is there")
            self.assertIn(b"\x1b[?1049h", terminal.bytes)
            writer.ask("start")
            lines = terminal.until(
                lambda lines: len(lines) > 4 and
                re.search(r"[1-9][0-9.]* completed", lines[4]), "what happens")
            self.assertNotIn(" 3 active", lines[1])
            writer.ask("stop")
            terminal.press("q")
            self.assertEqual(terminal.end(), 0)
            self.assertTrue(terminal.bytes.endswith(b"\x1b[?25h\x1b[?1049l"), terminal.bytes[-40:])
            self.assertEqual(termios.tcgetattr(terminal.side), terminal.before)

    def test_keys(self):
        terminal = Terminal(self, "top", self.store(), "--interval", "60s")
        terminal.until(lambda lines: names_or_none(lines) ==
                       ["acme/charge", "beta/charge", "-/-", "acme/refund"], "by active")
        terminal.press("r")
        terminal.until(lambda lines: names_or_none(lines) ==
                       ["acme/refund", "-/-", "beta/charge", "acme/charge"], "reversed")
        terminal.press("r")
        terminal.press("s")  # in progress
        terminal.until(lambda lines: (names_or_none(lines) or [""])[0] == "beta/charge", "sorted")
        terminal.press("b")
        terminal.until(lambda lines: names_or_none(lines) == ["beta", "-", "acme"], "by tenant")
        terminal.press("\x1b[A\x1bOPb")  # an arrow and F1 are no letters, what comes with them is
        terminal.until(lambda lines: names_or_none(lines) == ["charge", "-", "refund"],
                       "by operation")
        first = terminal.screen()[0]
        terminal.press(" ")
        terminal.until(lambda lines: lines[0] != first and lines[0].startswith("once top"), "now")
        terminal.press("q")
        self.assertEqual(terminal.end(), 0)

    def test_fits_the_window_as_it_changes(self):
        terminal = Terminal(self, "top", self.store(), "--interval", "60s", rows=9, columns=40)
        lines = terminal.until(lambda lines: names_fit(lines, 9, 40), "small")
        self.assertIn("q quit", lines[-1])
        terminal.bytes = b""
        terminal.resize(24, 100)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.until(lambda lines: names_or_none(lines) and len(names_or_none(lines)) == 4, "large")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.end(), 0)
        self.assertTrue(terminal.bytes.endswith(b"\x1b[?25h\x1b[?1049l"))

    def test_a_store_that_goes_away_and_comes_back(self):
        store = self.store()
        terminal = Terminal(self, "top", store, "--interval", "100ms")
        terminal.until(lambda lines: " 7 active" in lines[1], "there")
        away = self.fresh_path()
        store.rename(away)
        terminal.until(lambda lines: "there is no store" in lines[-1] or "no store" in lines[-1],
                       "away")
        away.rename(store)
        terminal.until(lambda lines: "q quit" in lines[-1], "back")
        terminal.press("\x03")
        self.assertEqual(terminal.end(), 0)


def names_or_none(lines):
    return names(lines) if any("done/s" in line for line in lines) and "quit" in lines[-1] else None


def names_fit(lines, rows, columns):
    return len(lines) == rows and all(len(line) <= columns for line in lines)


if __name__ == "__main__":
    main()
