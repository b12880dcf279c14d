"""get, ls, stats, events, log: what they print for what is in a store."""

import base64
import json
import struct

from common import (HOUR, NOW, ToolTest, answered, checkpoint_row, data_row, escape, event_row,
                    history_row, key_row, main, outcome, result_row, token)

ALL_BYTES = bytes(range(256))


def run_value(code, out, err):
    return struct.pack("<BI", 1, code) + b"".join(
        struct.pack("<I", len(part)) + part for part in (out, err))


class Get(ToolTest):
    def test_the_bytes_of_the_outcome(self):
        for value in (b"", b"0", b"false", b"receipt-7\n", ALL_BYTES):
            store = self.make_store(answered("a", value))
            self.assertEqual(self.once("get", store, "a").stdout, value)

    def test_null_is_nothing(self):
        store = self.make_store(answered("a", None))
        self.assertEqual(self.once("get", store, "a").stdout, b"")
        self.assertIsNone(self.json_of("get", store, "a")["outcome"]["value"])

    def test_json_is_the_record_with_its_outcome(self):
        store = self.make_store(answered("t/o/a", b"7"), answered("t/o/b", b"\xff", counter=2))
        found = self.json_of("get", store, "t/o/a")
        self.assertEqual(found["key"], "t/o/a")
        self.assertEqual(found["status"], "completed")
        self.assertEqual(found["token"], token(1))
        self.assertEqual(found["outcome"]["value"], {"text": "7"})
        self.assertEqual(found["execution_id"], "exec-%016x" % token(1))
        self.assertTrue(0 < found["time_to_live"] <= found["expires_at"] - NOW)
        other = json.loads(self.once("get", store, "t/o/b", "--json").stdout)
        self.assertEqual(other["outcome"]["value"], {"base64": "/w=="})

    def test_of_a_command_what_it_printed(self):
        value = run_value(3, b"out\xff\n", b"err\n")
        kind = "application/vnd.once.run"
        store = self.make_store(answered("a", value, content_type=kind),
                                answered("b", value, 2, content_type=kind, kind="failure",
                                         code="exit-3"))
        self.assertEqual(self.once("get", store, "a").stdout, b"out\xff\n")
        failed = self.once("get", store, "b")
        self.assertEqual(failed.stdout, b"out\xff\n")
        self.assertIn(b"exit-3", failed.stderr)
        self.assertEqual(self.json_of("get", store, "a")["run"], {
            "exit_code": 3,
            "out": {"base64": base64.b64encode(b"out\xff\n").decode()},
            "err": {"text": "err\n"},
        })

    def test_of_a_command_that_was_run(self):
        store = self.fresh_path()
        self.once("run", store, "--key", "a", "--", "printf", "x\\000y")
        self.assertEqual(self.once("get", store, "a").stdout, b"x\0y")

    def test_what_only_says_that_it_is_of_a_command(self):
        newer = b"\x02" + run_value(0, b"", b"")
        for value in (b"", b"\x01", run_value(0, b"a", b"b") + b"!", newer):
            store = self.make_store(answered("a", value, content_type="application/vnd.once.run"))
            said = b"newer version" if value == newer else b"output of a command"
            self.assertIn(said, self.once("get", store, "a", code=74).stderr)
            self.assertEqual(self.json_of("get", store, "a")["status"], "completed")

    def test_a_failure_is_told_on_stderr(self):
        store = self.make_store(answered("a", b"part", kind="failure", code="declined",
                                         message="the card was declined"))
        done = self.once("get", store, "a")
        self.assertEqual(done.stdout, b"part")
        self.assertIn(b"declined", done.stderr)
        self.assertIn(b"the card was declined", done.stderr)
        self.assertEqual(self.json_of("get", store, "a")["outcome"]["kind"], "failure")

    def test_no_outcome_exits_1_and_says_why(self):
        store = self.make_store(
            key_row("a", "in_progress"), key_row("b", "in_doubt", 2), key_row("c", "released", 3),
            answered("d", None, 4, omitted_bytes=99))
        for key, words in (("a", b"in progress"), ("b", b"once resolve"), ("c", b"released"),
                           ("d", b"99 bytes")):
            done = self.once("get", store, key, code=1)
            self.assertEqual(done.stdout, b"")
            self.assertIn(words, done.stderr)
            got = self.json_of("get", store, key)
            self.assertEqual(got["key"], key)
            # What is not finished never expires.
            self.assertEqual(got["time_to_live"] is None, key in "ab")

    def test_no_record_exits_1(self):
        store = self.make_store()
        done = self.once("get", store, "a", code=1)
        self.assertEqual(done.stdout, b"")
        self.assertIn(b"there is no a", done.stderr)
        self.assertIsNone(self.json_of("get", store, "a", code=1))

    def test_past_its_retention_it_is_absent(self):
        store = self.make_store(
            key_row("a", expires_at=NOW - HOUR), result_row("a", outcome(), expires_at=NOW - HOUR))
        self.assertIn(b"retention of a", self.once("get", store, "a", code=1).stderr)
        self.assertEqual(self.once("ls", store).stdout, b"")
        self.assertEqual(self.json_of("stats", store)["expired"], 1)

    def test_what_has_expired_is_listed_until_it_is_swept(self):
        store = self.make_store(
            answered("live"),
            key_row("t/o/a", counter=2, expires_at=NOW - HOUR),
            result_row("t/o/a", outcome(), 2, expires_at=NOW - HOUR),
            key_row("t/p/b", "released", 3, expires_at=NOW - 1))
        ls = ["ls", store, "--status", "expired"]
        self.assertEqual(self.once(*ls).stdout, b"t/o/a\nt/p/b\n")
        self.assertEqual(self.once(*ls, "t/p/").stdout, b"t/p/b\n")
        self.assertEqual(self.once("ls", store).stdout, b"live\n")
        self.assertEqual([(row["key"], row["status"], row["expires_at"])
                          for row in self.json_lines_of(*ls, "--json")],
                         [("t/o/a", "expired", NOW - HOUR), ("t/p/b", "expired", NOW - 1)])
        gone = self.json_of("get", store, "t/o/a", code=1)
        self.assertEqual(gone, {"key": "t/o/a", "status": "expired", "outcome": None})
        self.assertIsNone(self.json_of("get", store, "t/o/c", code=1))
        self.once("sweep", store)
        self.assertEqual(self.once(*ls).stdout, b"")
        self.assertIsNone(self.json_of("get", store, "t/o/a", code=1))


class Counts(ToolTest):
    def test_counts_of_all_processes(self):
        store = self.directory / "s"
        for key in ("a", "a", "a", "b"):
            self.once("run", store, "--operation", "x", "--key", key, "--", "true")
        stats = self.json_of("stats", store, "--by", "operation")
        for told in (stats, stats["by"][0]):
            self.assertEqual([told[name] for name in ("executions", "replays",
                                                      "duplicates_avoided", "hit_rate")],
                             [2, 2, 2, 0.5])
        text = self.once("stats", store).stdout.decode()
        self.assertIn("hit_rate                    0.5\n", text)
        self.assertIn("replays                       2\n", text)


class Keys(ToolTest):
    def test_any_bytes_come_back_the_same(self):
        """Every byte in every part, alone and all together, through every subcommand."""
        parts = [bytes([c]) for c in range(256)] + [ALL_BYTES[:128], ALL_BYTES[128:]]
        keys = [escape(part) + "/" + escape(part[::-1]) + "/" + escape(part) for part in parts]
        rows = []
        for i, key in enumerate(keys, 1):
            rows += answered(key, key.encode(), i)
            rows.append(history_row(i, key, "completed", "completed"))
            rows.append(checkpoint_row(key, "step", b"", i, i))
        store = self.make_store(*rows)
        listed = self.once("ls", store).stdout.decode().split("\n")[:-1]
        self.assertEqual(sorted(listed), sorted(keys))
        records = self.json_lines_of("ls", store, "--json")
        self.assertEqual({row["key"] for row in records}, set(keys))
        for table in ("keys", "results", "history", "checkpoints"):
            dumped = self.json_lines_of("dump", store, "--table", table)[:-1]
            self.assertEqual({row["key"] for row in dumped}, set(keys), table)
        self.assertEqual({row["key"] for row in self.json_lines_of("log", store, "--json")},
                         set(keys))
        table = self.once("dump", store, "--format", "table").stdout.decode().splitlines()
        text = self.once("log", store).stdout.decode().splitlines()
        for key in keys:
            # In each table a line of its own; between spaces, since a key has none.
            self.assertEqual(sum(" %s " % key in line for line in table), 4, key)
            self.assertEqual(sum(" %s " % key in line for line in text), 1, key)
        for key in (keys[0], keys[ord("-")], keys[ord("%")], keys[ord("/")], keys[255], keys[-1]):
            self.assertEqual(self.once("get", store, "--", key).stdout.decode(), key)
            logged = self.json_lines_of("log", store, "--key=" + key, "--json")
            self.assertEqual([row["key"] for row in logged], [key])
            self.assertEqual(self.json_of("rm", store, "--", key),
                             {"key": key, "removed": True})
            self.once("get", store, "--", key, code=1)
        self.assertEqual(len(self.once("ls", store).stdout.splitlines()), len(keys) - 6)

    def test_words_of_the_command_line_are_keys_as_any_other(self):
        keys = ["get", "ls", "store", "-", "--", "--json", "-h", "key", "a%20b"]
        rows = [row for i, key in enumerate(keys, 1) for row in answered(key, key.encode(), i)]
        store = self.make_store(*rows)
        for key in keys:
            self.assertEqual(self.once("get", "--", store, key).stdout.decode(), key)

    def test_the_longest_key(self):
        key = "t" * 255 + "/" + "o" * 255 + "/" + "i" * 1024
        store = self.make_store(answered(key, b"yes"))
        self.assertEqual(self.once("get", store, key).stdout, b"yes")


class Ls(ToolTest):
    def test_prefix_and_status(self):
        store = self.make_store(
            answered("acme/pay/1", counter=1), key_row("acme/pay/2", "in_doubt", 2),
            key_row("acme/ship/1", "in_progress", 3), answered("b", counter=4))

        def listed(*arguments):
            return self.once("ls", store, *arguments).stdout.decode().split()

        self.assertEqual(listed(), ["b", "acme/pay/1", "acme/pay/2", "acme/ship/1"])
        self.assertEqual(listed("acme/pay/"), ["acme/pay/1", "acme/pay/2"])
        self.assertEqual(listed("acme/p", "--status", "in-doubt"), ["acme/pay/2"])
        self.assertEqual(listed("--status", "in_progress"), ["acme/ship/1"])
        self.assertEqual(listed("nothing"), [])

    def test_json_is_a_record_a_line(self):
        store = self.make_store(key_row("a", "in_doubt"))
        rows = self.json_lines_of("--json", "ls", store)
        want = key_row("a", "in_doubt")
        del want["table"]
        self.assertEqual(rows, [want])


class Stats(ToolTest):
    def test_counts(self):
        store = self.make_store(
            answered("a", counter=1), key_row("b", "in_doubt", 2), key_row("c", "in_progress", 3),
            checkpoint_row("c", "s", counter=3), event_row(5), event_row(6, "dead"),
            event_row(4, next_attempt_at=NOW + HOUR, retries=1),
            history_row(7, "a"), data_row(b"x", b"y"))
        stats = self.json_of("stats", store)
        counts = {"completed": 1, "in_doubt": 1, "in_progress": 1, "failed": 0, "checkpoints": 1,
                  "events_pending": 2, "events_waiting": 1, "events_dead": 1, "history": 1, "data": 1}
        self.assertEqual({name: stats[name] for name in counts}, counts)
        self.assertGreater(stats["bytes_on_disk"], 0)
        text = self.once("stats", store).stdout.decode()
        self.assertRegex(text, r"(?m)^in_doubt +1$")
        self.assertEqual(len({len(line) for line in text.splitlines()}), 1)


class Events(ToolTest):
    def test_lists_by_status(self):
        store = self.make_store(
            event_row(1, headers={"h": "1"}), event_row(2, "delivered"),
            event_row(3, "dead", b"\xff", retries=5))
        rows = self.json_lines_of("events", store, "--json")
        self.assertEqual([row["status"] for row in rows], ["pending", "delivered", "dead"])
        self.assertEqual(rows[0]["headers"], {"h": "1"})
        dead = self.json_lines_of("events", store, "--status", "dead", "--json")
        self.assertEqual([row["payload"] for row in dead], [{"base64": "/w=="}])
        line = self.once("events", store, "--status", "dead").stdout.decode()
        self.assertIn("order.placed of order/9, retried 5 times", line)


class Log(ToolTest):
    def test_oldest_first_and_by_key(self):
        store = self.make_store(
            history_row(1, "a"), history_row(2, "b", note="two\nlines"),
            history_row(3, "a", "completed", "completed", previous=token(1)))
        rows = self.json_lines_of("log", store, "--json")
        self.assertEqual([row["sequence"] for row in rows], [token(1), token(2), token(3)])
        mine = self.once("log", store, "--key", "a").stdout.decode().splitlines()
        self.assertEqual(len(mine), 2)
        self.assertRegex(mine[1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z completed +a +token ")
        self.assertIn(r"two\x0alines", self.once("log", store, "--key", "b").stdout.decode())
        self.assertEqual(self.once("log", store, "--key", "none").stdout, b"")

    def test_tells_what_happened(self):
        store = self.fresh_path()
        self.once("run", store, "--key", "a", "--", "false", code=1)
        self.once("run", store, "--key", "a", "--", "true")
        self.once("rm", store, "a")
        whats = [row["what"] for row in self.json_lines_of("log", store, "--json")]
        self.assertEqual(whats, ["reserved", "released", "reserved", "completed", "removed"])


if __name__ == "__main__":
    main()
