"""dump and load: what comes out goes in again, byte for byte, and nothing else does."""

import json
import os
import signal
import subprocess

from common import (OPENING, TOOL, ToolTest, answered, bytes_json, checkpoint_row, damage,
                    data_row, end_row, event_row, history_row, holder, key_row, lines, main, outcome,
                    result_row, store_row, token, whole)

WILD = [b"", b"plain", b"\0", bytes(range(256)), "\u20ac \U0001f600 \u2028".encode(), b'"\\\n\r\t',
        b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xff" * 3, b"ab\xff", b"\x7f\xc2\x85"]
TABLES = ["keys", "results", "checkpoints", "outbox", "history", "data"]


def text_json(text):
    value = bytes_json(text)
    return value.get("text", value)


def every_kind_of_row():
    rows = []
    for i, status in enumerate(("in_progress", "in_doubt", "released"), 1):
        rows.append(key_row("s/%s/x" % status, status, i, holder=holder(), on_abandon="rerun",
                            attempt=4294967295, fingerprint="00112233445566778899aabbccddeeff"))
    rows.append(key_row("s/fields/x", "in_doubt", 4,
                        fields={"": "0" * 16, "/a/b": "0123456789abcdef", "amount": "f" * 16}))
    rows.append(key_row("s/fields/y", "in_doubt", 5,
                        fields=[["a", "0" * 16], [{"base64": "/w=="}, "1" * 16]]))
    for i, value in enumerate(WILD, 10):
        rows += answered("v/%d/x" % i, value, i)
        rows.append(checkpoint_row("v/%d/x" % i, text_json(b"n" + value[-200:]), value, i, i))
        short = text_json(value[-200:])
        rows.append(event_row(100 + i, payload=value, id=short, type=short, aggregate_type=short,
                              aggregate_id=short, retries=i))
        rows.append(history_row(200 + i, "v/%d/x" % i, note=text_json(value), holder=holder()))
        rows.append(data_row(b"k" + value, value))
    rows.append(event_row(400, "dead", headers={"a": "1", "b": {"base64": "/w=="}},
                          metadata=[["plain", "3"], [{"base64": "/w=="}, "2"]]))
    rows.append(event_row(401, "delivered"))
    for i, kind in enumerate(("failure", "timeout", "killed"), 50):
        rows += answered("k/%s/x" % kind, b"v", i, kind=kind, code="c", message="m",
                         content_type="text/plain")
    rows += answered("k/null/x", None, 60)
    rows += answered("k/omitted/x", None, 61, omitted_bytes=(1 << 64) - 1)
    forever = (1 << 63) - 1
    of = outcome(b"")
    rows.append(key_row("k/forever/x", "completed", 62, expires_at=forever, retention=forever))
    rows.append(result_row("k/forever/x", of, 62, expires_at=forever))
    for i, what in enumerate(("reserved", "taken_over", "completed", "failed", "released",
                              "in_doubt", "resolved", "removed"), 500):
        rows.append(history_row(i, "k/what/x", what, previous=token(i - 1)))
    return rows


class Identity(ToolTest):
    def test_dump_load_dump_is_the_same(self):
        store = self.make_store(*every_kind_of_row())
        first = self.once("dump", store).stdout
        self.assertEqual(len(first.splitlines()), 2 + len(every_kind_of_row()))
        copy = self.fresh_path()
        self.once("load", copy, stdin=first)
        self.assertEqual(self.once("dump", copy, "--format", "jsonl").stdout, first)
        again = self.fresh_path()
        self.once("load", again, stdin=self.once("dump", copy).stdout)
        self.assertEqual(self.once("dump", again).stdout, first)

    def test_what_was_written_by_hand_comes_back(self):
        rows = every_kind_of_row()
        dumped = self.json_lines_of("dump", self.make_store(*rows))
        order = lambda row: json.dumps(row, sort_keys=True)
        self.assertEqual(dumped[0], store_row())
        self.assertEqual(dumped.pop(), end_row(1 + len(rows)))
        self.assertEqual(sorted(dumped[1:], key=order), sorted(rows, key=order))

    def test_tables_of_a_dump_come_in_order_and_load_alone(self):
        store = self.make_store(*every_kind_of_row())
        rows = self.once("dump", store).stdout.splitlines()
        parts = []
        for table in TABLES:
            *part, end = self.once("dump", store, "--table", table).stdout.splitlines()
            self.assertEqual(json.loads(end), end_row(len(part)))
            parts += part
        self.assertEqual(rows[1:-1], parts)
        for table in TABLES:
            alone = self.once("dump", store, "--table", table).stdout
            copy = self.fresh_path()
            self.once("load", copy, stdin=alone)
            # A checkpoint without its key belongs to no life of it, and is not live.
            if table != "checkpoints":
                self.assertEqual(self.once("dump", copy, "--table", table).stdout, alone, table)

    def test_a_store_that_was_used(self):
        store = self.fresh_path()
        for i in range(5):
            self.once("run", store, "--key", "k%d" % i, "--", "sh", "-c", "echo $ONCE_TOKEN")
        first = self.once("dump", store).stdout
        copy = self.fresh_path()
        self.once("load", copy, stdin=first)
        self.assertEqual(self.once("dump", copy).stdout, first)
        self.once("verify", copy)
        before = max(row["token"] for row in self.json_lines_of("ls", copy, "--json"))
        out = self.once("run", copy, "--key", "new", "--", "sh", "-c", "echo $ONCE_TOKEN").stdout
        self.assertGreater(int(out), before)


class Formats(ToolTest):
    def test_json_is_one_array(self):
        store = self.make_store(*every_kind_of_row())
        rows = self.json_lines_of("dump", store)[:-1]  # the end belongs to lines only
        self.assertEqual(json.loads(self.once("dump", store, "--format", "json").stdout), rows)
        self.assertEqual(json.loads(self.once("dump", store, "--json").stdout), rows)
        self.assertEqual(json.loads(self.once("--json", "dump", store).stdout), rows)
        empty = self.once("dump", self.make_store(), "--table", "data", "--json").stdout
        self.assertEqual(json.loads(empty), [])

    def test_table_is_a_line_a_row(self):
        rows = every_kind_of_row()
        out = self.once("dump", self.make_store(*rows), "--format", "table").stdout.decode()
        self.assertEqual(len(out.split("\n")), len(rows) + 2)
        self.assertIn("store       format 1, opened %d times" % OPENING, out)
        self.assertIn("never", out)
        self.assertTrue(out.replace("\n", "").isprintable() or "\u2028" in out)


class Bad(ToolTest):
    def refused(self, text, saying, number=2, code=64):
        """`text` as the second line must be refused, and leave nothing behind."""
        path = self.fresh_path()
        done = self.once("load", path, stdin=lines([store_row()]) + text, code=code)
        self.assertIn("line %d: " % number, done.stderr.decode())
        self.assertIn(saying, done.stderr.decode())
        self.assertEqual([p.name for p in self.directory.iterdir()], [])

    def test_lines_that_are_no_rows(self):
        self.refused(b"\n", "no JSON")
        self.refused(b"{\n", "no JSON")
        self.refused(b"{} {}\n", "no JSON")
        self.refused(b"\xff\xfe\n", "no JSON")
        self.refused(b'{"table": "data", "key": {"text": "\xff"}}\n', "no JSON")
        self.refused(b"[]\n", "object")
        self.refused(b"7", "object")
        self.refused(b"{}\n", "'table' is missing")
        self.refused(b'{"table": "nonsense"}\n', "checkpoints")
        self.refused(b'{"table": 7}\n', "'table'")
        self.refused(b"[" * 100000 + b"\n", "no JSON")
        self.refused(b"[" * 100000 + b"]" * 100000 + b"\n", "object")

    def test_members_that_are_wrong(self):
        def with_member(row, name, value):
            changed = dict(row)
            changed[name] = value
            return lines([changed])

        for row in (store_row(), key_row("a"), result_row("a", outcome()), event_row(1),
                    checkpoint_row("a", "s"), history_row(1, "a"), data_row(b"k", b"v")):
            for name in row:
                if name == "table":
                    continue
                without = {other: value for other, value in row.items() if other != name}
                self.refused(lines([without]), "'%s' is missing" % name)
                self.refused(with_member(row, name, [[]]), "'%s'" % name)
            self.refused(with_member(row, "extra", 1), "'extra'")
            text = json.dumps(row)[:-1] + ', "table": "x"}\n'
            self.refused(text.encode(), "twice")

        row = key_row("a")
        for name in ("token", "origin", "last_history"):
            for value in (-1, 1.5, 1 << 64, "1", None, True):
                self.refused(with_member(row, name, value), "'%s' must be a whole number" % name)
        for value in (-1, 1 << 32):
            self.refused(with_member(row, "attempt", value), "4294967295")
        for value in (1 << 63, -(1 << 63) - 1, 0.5):
            self.refused(with_member(row, "created_at", value), "'created_at'")
        self.refused(with_member(row, "status", "in-progress"), "in_progress")
        self.refused(with_member(row, "key", "a%"), "escape")
        self.refused(with_member(row, "key", "a" * 1025), "1024")
        self.refused(with_member(row, "fingerprint", "00"), "32 hexadecimal")
        self.refused(with_member(row, "fingerprint", "G" * 32), "32 hexadecimal")
        for value in ({}, {"a": "0" * 15}, {"a": "0" * 17}, {"a": "G" * 16}, {"a": 1}, None, "a"):
            self.refused(with_member(row, "fields", value), "'fields'")
        self.refused(with_member(row, "fields", {str(i): "0" * 16 for i in range(65)}), "64")
        self.refused(with_member(row, "fields", {"n" * 256: "0" * 16}), "255")
        self.refused(with_member(row, "holder", {}), "'holder.boot' is missing")
        self.refused(with_member(row, "holder", {**holder(), "x": 1}), "'holder.x'")
        data = data_row(b"k", b"v")
        for value in ({"base64": "a"}, {"base64": "/x=="}, {"base64": "===="}, {"base64": "a b="},
                      {"text": 1}, {"text": "a", "base64": ""}, {}, "v", None):
            self.refused(with_member(data, "value", value), "'value'")
        result = result_row("a", {**outcome(), "kind": "nonsense"})
        self.refused(lines([result]), "'outcome.kind'")
        event = event_row(1)
        for value in ({"a": 1}, [["a"]], [["a", "b"], ["a", "c"]], ["a"], "x"):
            self.refused(with_member(event, "headers", value), "'headers'")

    def test_the_number_of_the_line(self):
        good = lines([data_row(b"%d" % i, b"") for i in range(20)])
        self.refused(good + b"bad\n", "no JSON", 22)
        self.refused(good + b"bad", "no JSON", 22)

    def test_a_format_of_a_newer_version(self):
        path = self.fresh_path()
        done = self.once("load", path, stdin=lines([{**store_row(), "format": 99}]), code=74)
        self.assertIn(b"line 1: ", done.stderr)
        self.assertIn(b"99", done.stderr)
        self.assertFalse(path.exists())

    def test_a_last_line_without_an_end_counts(self):
        path = self.fresh_path()
        self.once("load", path, stdin=whole([data_row(b"a", b"b")]).rstrip(b"\n"))
        self.assertEqual(self.json_of("stats", path)["data"], 1)

    def test_a_dump_of_no_rows_is_an_empty_store(self):
        path = self.fresh_path()
        self.once("load", path, stdin=whole([]))
        self.assertTrue(path.is_file())
        self.assertEqual(self.once("ls", path).stdout, b"")


class Whole(ToolTest):
    """A store is made of one whole dump, or not at all."""

    def refused(self, text, saying):
        path = self.fresh_path()
        before = sorted(self.directory.iterdir())
        self.assertIn(saying, self.once("load", path, stdin=text, code=64).stderr.decode())
        self.assertEqual(sorted(self.directory.iterdir()), before)

    def test_nothing_at_all(self):
        self.refused(b"", "the dump is cut off")

    def test_cut_off_at_any_line(self):
        dump = self.once("dump", self.make_store(answered("a"), event_row(5))).stdout
        cut = dump.splitlines(keepends=True)
        for i in range(len(cut)):
            self.refused(b"".join(cut[:i]), "the dump is cut off")
        self.refused(dump[:-2], "no JSON")

    def test_a_line_that_is_lost_or_there_twice(self):
        first, *rows, end = lines([store_row(), data_row(b"a", b""), data_row(b"b", b""),
                                   end_row(3)]).splitlines(keepends=True)
        for some in (rows[:1], rows[1:], rows + rows[:1]):
            self.refused(first + b"".join(some) + end, "line %d: " % (len(some) + 2))

    def test_two_dumps_one_after_the_other(self):
        one, other = whole([store_row()]), whole([store_row(), data_row(b"a", b"")])
        self.refused(one + other, "line 3: ")
        self.refused(one + lines([end_row(1)]), "line 3: ")
        # Without the end of the first.
        self.refused(lines([store_row(), data_row(b"b", b"")]) + other, "line 3: ")
        self.refused(lines([store_row(), store_row(), end_row(2)]), "line 2: ")

    def test_an_end_that_is_none(self):
        for end in ({"table": "end"}, {"table": "end", "rows": -1}, {"table": "end", "rows": "1"},
                    {"table": "end", "rows": 1, "more": 2}):
            self.refused(lines([store_row(), end]), "line 2: ")

    def test_a_dump_that_failed(self):
        self.refused(self.once("dump", self.directory / "none", code=74).stdout, "cut off")
        values = [os.urandom(300) for i in range(3000)]
        store = self.make_store(*[data_row(b"%06d" % i, v) for i, v in enumerate(values)])
        self.once("sweep", store)
        damage(store, values[1500])
        failed = self.once("dump", store, code=74).stdout
        self.assertGreater(failed.count(b"\n"), 1)
        self.refused(failed, "the dump is cut off")


class Places(ToolTest):
    def test_from_a_file(self):
        file = self.directory / "rows"
        file.write_bytes(whole([data_row(b"a", b"b")]))
        path = self.fresh_path()
        done = self.json_of("load", path, "--from", file)
        self.assertEqual(done, {"store": str(path), "rows": 1})
        self.assertIn(b"No such file",
                      self.once("load", self.fresh_path(), "--from", "none", code=64).stderr)
        self.once("load", self.fresh_path(), "--from", self.directory, code=74)

    def test_an_empty_directory_may_be_there_and_nothing_else(self):
        path = self.fresh_path()
        path.mkdir()
        self.once("load", path, stdin=whole([data_row(b"a", b"b")]))
        for taken in (path, self.directory):
            self.assertIn(b"there already", self.once("load", taken, code=64).stderr)
        self.assertEqual(self.json_of("stats", path)["data"], 1)
        file = self.directory / "file"
        file.write_text("mine")
        self.once("load", file, code=64)
        self.assertEqual(file.read_text(), "mine")
        self.once("load", self.directory / "none" / "store", code=74)

    def test_an_interrupted_load_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([TOOL, "load", self.fresh_path()], stdin=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as load:
                load.stdin.write(lines([data_row(b"%d" % i, b"x" * 1000) for i in range(5000)]))
                load.stdin.flush()
                while not list(self.directory.iterdir()):
                    pass
                load.send_signal(number)
                self.assertEqual(load.wait(), -number)
                self.assertIn(b"nothing was loaded", load.stderr.read())
            self.assertEqual(list(self.directory.iterdir()), [])

    def test_rows_larger_than_an_application_may_keep_by_default(self):
        big = b"x" * (17 << 20)
        store = self.make_store(answered("a", big), event_row(5, payload=b"y" * (2 << 20)))
        self.assertEqual(self.once("get", store, "a").stdout, big)


if __name__ == "__main__":
    main()
