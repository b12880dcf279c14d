"""Readers at the command line while another process writes to the store all the time: what they
see is whole and not older than their start, the file stays as it is, the writer goes on, and a
reader that was killed keeps no space."""

import hashlib
import json
import os
import pathlib
import select
import signal
import subprocess
import time

from common import TIMEOUT_S, TOOL, ToolTest, main

WRITER = os.path.abspath(os.environ.get("ONCE_WRITER", "build/tests/tool/writer"))


class Writer:
    """A process that has the store open; see writer.cc."""

    def __init__(self, test, store):
        self.process = subprocess.Popen(
            [WRITER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        test.addCleanup(self.close)
        self.lines = b""
        assert self.line() == "ready"

    def line(self):
        deadline = time.monotonic() + TIMEOUT_S
        while b"\n" not in self.lines:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            assert piece, "the writer does not answer"
            self.lines += piece
        line, _, self.lines = self.lines.partition(b"\n")
        return line.decode()

    def ask(self, *command):
        """The numbers that it answers."""
        self.process.stdin.write(" ".join(map(str, command)).encode() + b"\n")
        return [int(word) for word in self.line().split()]

    def count(self):
        return self.ask("count")[0]

    def close(self):
        self.process.stdin.close()
        self.process.wait(TIMEOUT_S)
        self.process.stdout.close()


def name(prefix, number):
    return "%s-%07d" % (prefix, number)


def state_of(path):
    status = os.stat(path)
    return (hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest(), status.st_size,
            status.st_mtime_ns, status.st_mode, status.st_ino)


class Tables:
    """What a dump tells of the numbers that were written, by table."""

    def __init__(self, rows):
        self.end = rows[-1]
        self.numbers = {}
        for row in rows[:-1]:
            of = {"keys": lambda: row["key"], "results": lambda: row["outcome"]["value"]["text"],
                  "outbox": lambda: row["type"], "history": lambda: row["key"],
                  "data": lambda: row["value"]["text"]}.get(row["table"])
            if of:
                self.numbers.setdefault(row["table"], []).append(int(of().split("-")[1]))


class LiveReaders(ToolTest):
    def begin(self, keys=200):
        store = self.fresh_path()
        writer = Writer(self, store)
        writer.ask("write", keys)
        return store, writer

    def check_whole(self, rows, least):
        """All tables tell of the same numbers, from 0 on, `least` of them at least."""
        tables = Tables(rows)
        count = len(tables.numbers["keys"])
        self.assertGreaterEqual(count, least)
        for table, numbers in tables.numbers.items():
            self.assertEqual(sorted(numbers), list(range(count)), table)
        self.assertEqual(len(tables.numbers), 5)
        self.assertEqual(tables.end, {"table": "end", "rows": len(rows) - 1})
        return count

    def test_all_of_them_see_one_state_that_is_not_older_than_their_start(self):
        store, writer = self.begin()
        writer.ask("start")
        for turn in range(6):
            if turn % 2 == 1:
                # Files come and go.
                writer.ask("stop")
                writer.ask("sweep" if turn % 4 == 1 else "compact")
                writer.ask("start")
            least = writer.count()
            self.check_whole(self.json_lines_of("dump", store, "--format", "jsonl"), least)

            least = writer.count()
            last = name("value", least - 1)
            self.assertEqual(self.once("get", store, name("key", least - 1)).stdout.decode(), last)

            least = writer.count()
            keys = self.once("ls", store).stdout.decode().split()
            self.assertGreaterEqual(len(keys), least)
            self.assertEqual(keys, [name("key", i) for i in range(len(keys))])

            least = writer.count()
            events = self.json_lines_of("events", store, "--json")
            self.assertGreaterEqual(len(events), least)
            self.assertEqual([event["type"] for event in events],
                             [name("event", i) for i in range(len(events))])

            least = writer.count()
            log = self.json_lines_of("log", store, "--json")
            self.assertGreaterEqual(len(log), least)
            self.assertEqual([entry["key"] for entry in log],
                             [name("key", i) for i in range(len(log))])

            least = writer.count()
            stats = self.json_of("stats", store)
            self.assertGreaterEqual(stats["completed"], least)
            for table in ("events_pending", "history", "data"):
                self.assertEqual(stats[table], stats["completed"], table)

            least = writer.count()
            verified = self.json_of("verify", store)
            self.assertEqual(verified["problems"], [])
            self.assertGreaterEqual(verified["rows"], 5 * least)
            self.assertGreater(verified["blocks"], 0)

            least = writer.count()
            copy = self.fresh_path()
            self.once("backup", store, copy)
            self.assertTrue(copy.is_file())
            self.check_whole(self.json_lines_of("dump", copy, "--format", "jsonl"), least)
            self.once("verify", copy)
        self.assertGreater(writer.ask("stop")[0], 200)

    def test_the_bytes_of_the_file_stay_as_they_are(self):
        store, writer = self.begin()
        # As a kill leaves it: with a log that was not closed.
        writer.process.send_signal(signal.SIGKILL)
        writer.process.wait()
        before = state_of(store)
        for arguments in (["get", store, name("key", 3)], ["ls", store], ["log", store],
                          ["events", store], ["outbox", "ls", store], ["workflow", "ls", store],
                          ["transaction", "ls", store],
                          ["stats", store], ["dump", store], ["verify", store],
                          ["backup", store, self.fresh_path()],
                          ["salvage", store, self.fresh_path()]):
            self.once(*arguments)
            self.assertEqual(state_of(store), before, arguments)
            self.assertEqual(sorted(os.listdir(self.directory)),
                             sorted(path.name for path in self.directory.iterdir()
                                    if path.name.startswith("store-")
                                    and not path.name.endswith((".new", ".partial"))))
        # And who stays, until it is told to end.
        follower = subprocess.Popen([TOOL, "log", store, "--follow", "--json"],
                                    bufsize=0, stdout=subprocess.PIPE)
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)
        for i in range(200):
            self.assertEqual(json.loads(follower.stdout.readline())["key"], name("key", i))
        self.assertEqual(state_of(store), before)
        follower.send_signal(signal.SIGINT)
        self.assertEqual((follower.stdout.read(), follower.wait(TIMEOUT_S)), (b"", 0))
        self.assertEqual(state_of(store), before)
        # Closed in good order, too.
        again = Writer(self, store)
        again.close()
        before = state_of(store)
        for arguments in (["dump", store], ["verify", store], ["stats", store]):
            self.once(*arguments)
            self.assertEqual(state_of(store), before, arguments)

    def stuck_reader(self, store):
        """A dump that has opened the store and cannot go on, since nobody takes what it prints."""
        reader = subprocess.Popen([TOOL, "dump", str(store), "--format", "jsonl"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(reader.stdout.close)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        first = json.loads(reader.stdout.readline())
        self.assertEqual(first["table"], "store")
        return reader

    def test_a_stuck_reader_does_not_hold_the_writer_up_and_sees_what_it_began_with(self):
        store, writer = self.begin(3000)
        reader = self.stuck_reader(store)
        writer.ask("write", 2000)
        writer.ask("remove", 3000)
        writer.ask("sweep")
        writer.ask("compact")
        writer.ask("write", 1000)
        rows = [{"table": "store"}]
        rows += [json.loads(line) for line in reader.stdout.read().splitlines()]
        self.assertEqual(self.check_whole(rows, 3000), 3000)
        self.assertEqual(reader.wait(), 0)
        self.once("verify", store)

    def test_a_killed_reader_keeps_no_space(self):
        store, writer = self.begin(4000)
        writer.ask("compact")
        reader = self.stuck_reader(store)
        held = 0
        for _ in range(4):
            writer.ask("write", 1000)
            writer.ask("remove", 1000)
            held = writer.ask("compact")[2]
        self.assertGreater(held, 100_000)
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        # Nobody tells the writer: it looks when it frees something.
        before, after, held = writer.ask("compact")
        self.assertEqual(held, 0)
        self.assertLess(after, before)
        self.assertEqual(os.stat(store).st_size, after)
        # A copy has the same rows, of which history has become more, and nothing else.
        copy = self.fresh_path()
        self.once("backup", store, copy)
        self.assertLess(after, 1.5 * os.stat(copy).st_size)
        self.once("verify", store)

    def test_sweep_gives_back_too(self):
        store, writer = self.begin(4000)
        writer.ask("compact")
        reader = self.stuck_reader(store)
        for _ in range(3):
            writer.ask("sweep")
        held = os.stat(store).st_size
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        writer.ask("sweep")
        self.assertLess(writer.ask("sweep")[1], held)

    def test_who_wants_to_write_too_waits_no_longer_than_asked(self):
        store, writer = self.begin(1)
        before = time.monotonic()
        done = self.once("run", store, "--key", "k", "--wait", "0s", "--", "true", code=74)
        self.assertLess(time.monotonic() - before, 20)
        self.assertIn(b"%d" % writer.process.pid, done.stderr)

    def test_damage_is_told_with_its_place_while_somebody_has_the_store_open(self):
        store, writer = self.begin(20000)
        writer.ask("compact")
        content = store.read_bytes()
        codes = []
        for at in range(300_000, len(content), len(content) // 24):
            with open(store, "r+b") as file:
                file.seek(at)
                file.write(bytes([content[at] ^ 1]))
            done = self.once("verify", store, code=None)
            codes.append(done.returncode)
            told = done.stdout + done.stderr
            if done.returncode != 0:
                self.assertIn(done.returncode, (1, 74), told)
                self.assertRegex(told, rb"byte |bytes |offset ")
                self.assertIn(b"/once/", told)
            if done.returncode == 1:
                report = self.json_of("verify", store, code=1)
                self.assertEqual(report["problem_count"], len(report["problems"]))
                self.assertGreater(report["problem_count"], 0)
            with open(store, "r+b") as file:
                file.seek(at)
                file.write(content[at:at + 1])
        # It opens, and what is wrong is listed.
        self.assertIn(1, codes)
        self.once("verify", store)


if __name__ == "__main__":
    main()
