"""resolve, rm, sweep, verify, backup, and the exit codes that need a store."""

import os

from common import (HOUR, LAYOUTS, NOW, ToolTest, answered, checkpoint_row, damage, data_row,
                    escape, event_row, held, holder, key_row, main, outcome, result_row, snapshot)


class Resolve(ToolTest):
    def test_success(self):
        for value in (b"", b"receipt-7", bytes(range(256))):
            store = self.make_store(key_row("a", "in_doubt"))
            done = self.once("resolve", store, "a", "--as", "success", "--value", "-", stdin=value)
            self.assertEqual(done.stdout, b"a is resolved as success\n")
            self.assertEqual(self.once("get", store, "a").stdout, value)
            self.once("verify", store)
        store = self.make_store(key_row("a", "in_doubt"))
        self.assertEqual(self.json_of("resolve", store, "a", "--as", "success"),
                         {"key": "a", "resolved": "success"})
        self.assertIsNone(self.json_of("get", store, "a")["outcome"]["value"])

    def test_any_bytes_may_stand_in_the_key(self):
        every = bytes(range(256))
        keys = ["%s/%s/%s" % (escape(part), escape(part[::-1]), escape(part))
                for part in (b"\0", b"\xff", b"\n", b"-", b"/", b"%", b"\x1b[2J", b"\xc3\x28",
                             every[:128], every[128:])]
        store = self.make_store(*[key_row(key, "in_doubt", i) for i, key in enumerate(keys, 1)])
        for key in keys:
            done = self.once("resolve", store, "--as", "success", "--value", "-", "--", key,
                             stdin=key.encode())
            self.assertEqual(done.stdout.decode(), key + " is resolved as success\n")
            self.assertEqual(self.once("get", store, "--", key).stdout.decode(), key)
        resolved = self.json_lines_of("log", store, "--json")
        self.assertEqual([(row["key"], row["what"]) for row in resolved],
                         [(key, "resolved") for key in keys])
        self.once("verify", store)

    def test_from_a_file(self):
        store = self.make_store(key_row("a", "in_doubt"))
        file = self.directory / "value"
        file.write_bytes(b"\xff")
        self.once("resolve", store, "a", "--as", "success", "--value", file)
        self.assertEqual(self.once("get", store, "a").stdout, b"\xff")
        done = self.once("resolve", store, "a", "--as", "success", "--value", "none", code=64)
        self.assertIn(b"No such file", done.stderr)

    def test_failure(self):
        store = self.make_store(key_row("a", "in_doubt"))
        self.once("resolve", store, "a", "--as", "failure", "--code", "declined",
                  "--message", "no money", "--value", "-", stdin=b"details")
        found = self.json_of("get", store, "a")
        self.assertEqual(found["status"], "failed")
        self.assertEqual(found["outcome"]["code"], "declined")
        self.assertEqual(found["outcome"]["message"], "no money")
        self.assertEqual(found["outcome"]["value"], {"text": "details"})

    def test_rerun(self):
        store = self.make_store(key_row("a", "in_doubt"))
        self.once("run", store, "--key", "a", "--", "echo", "ran", code=70)
        self.once("resolve", store, "a", "--as", "rerun")
        ran = self.once("run", store, "--key", "a", "--", "echo", "ran")
        self.assertEqual(ran.stdout, b"ran\n")

    def test_what_does_not_go_together(self):
        store = self.make_store(key_row("a", "in_doubt"))
        for arguments in (["success", "--code", "c"], ["success", "--message", "m"],
                          ["rerun", "--value", "-"], ["rerun", "--code", "c"]):
            self.once("resolve", store, "a", "--as", *arguments, code=64)
        self.assertEqual(self.json_of("get", store, "a")["status"], "in_doubt")

    def test_what_cannot_be_decided(self):
        store = self.make_store(answered("done"),
                                key_row("busy", "in_progress", 2, holder=holder()))
        self.once("resolve", store, "none", "--as", "rerun", code=1)
        self.once("resolve", store, "busy", "--as", "rerun", code=75)
        self.assertIn(b"done", self.once("resolve", store, "done", "--as", "rerun", code=1).stderr)


class Rm(ToolTest):
    def test_removes(self):
        store = self.make_store(answered("a"), answered("b", counter=2), checkpoint_row("a", "s"))
        self.assertEqual(self.once("rm", store, "a").stdout, b"")
        self.assertEqual(self.once("ls", store).stdout, b"b\n")
        self.assertEqual(self.json_of("stats", store)["checkpoints"], 0)
        self.assertIn(b"there is no a", self.once("rm", store, "a", code=1).stderr)
        self.assertEqual(self.json_of("rm", store, "a", code=1), {"key": "a", "removed": False})
        self.once("verify", store)

    def test_not_from_under_an_owner_at_work(self):
        store = self.make_store(key_row("a", "in_progress", holder=holder()))
        self.once("rm", store, "a", code=75)
        self.assertEqual(self.once("ls", store).stdout, b"a\n")


class Sweep(ToolTest):
    def test_removes_what_has_expired(self):
        past = NOW - HOUR
        rows = [answered("live")]
        for i in range(500):
            rows.append(key_row("x%d" % i, counter=i + 2, expires_at=past))
            rows.append(result_row("x%d" % i, outcome(b""), i + 2, expires_at=past))
        store = self.make_store(*rows, key_row("doubt", "in_doubt", 900), event_row(1000))
        self.assertEqual(self.json_of("stats", store)["expired"], 500)
        swept = self.json_of("sweep", store)
        self.assertEqual((swept["keys"], swept["results"], swept["events"]), (500, 500, 0))
        self.assertIn("bytes_before", swept)
        self.assertEqual(self.json_of("stats", store)["expired"], 0)
        self.assertEqual(self.once("ls", store).stdout, b"doubt\nlive\n")
        self.assertIn(b"removed 0 keys", self.once("sweep", store).stdout)


class Verify(ToolTest):
    def test_all_is_well(self):
        store = self.make_store(answered("a", b"x"), data_row(b"k", b"v"))
        report = self.json_of("verify", store)
        self.assertEqual((report["problem_count"], report["problems"]), (0, []))
        self.assertGreaterEqual(report["rows"], 3)
        self.assertRegex(self.once("verify", store).stdout, rb"checked, 0 problems\n$")

    def test_lists_problems_and_exits_1(self):
        store = self.make_store(
            key_row("lacks-its-result"), result_row("alone", outcome(b"x"), 2),
            key_row("another", counter=3), result_row("another", outcome(b"other"), 3))
        report = self.json_of("verify", store, code=1)
        self.assertGreaterEqual(report["problem_count"], 3)
        self.assertEqual(len(report["problems"]), report["problem_count"])
        text = self.once("verify", store, code=1).stdout.decode()
        for key in ("lacks-its-result", "alone", "another"):
            self.assertIn(key, text)

    def test_a_damaged_file_is_found(self):
        values = [os.urandom(300) for i in range(3000)]
        for layout in LAYOUTS:
            store = self.make_store(*[data_row(b"%06d" % i, v) for i, v in enumerate(values)],
                                    layout=layout)
            self.once("sweep", store)
            damage(store, values[1000])
            found = self.once("verify", store, code=1)
            self.assertIn(os.fsencode(store), found.stdout)
            self.once("dump", store, code=74)

    def test_damage_that_keeps_it_from_opening_is_listed(self):
        for layout in LAYOUTS:
            store = self.make_store(answered("a", b"x"), layout=layout)
            damage(store, b"leveldb.BytewiseComparator")  # in the list of tables, RocksDB's MANIFEST
            self.assertIn(b"once salvage", self.once("ls", store, code=74).stderr)
            report = self.json_of("verify", store, code=1)
            self.assertEqual((report["problem_count"], report["rows"]), (1, 0))
            self.assertIn(str(store), report["problems"][0])
            self.assertIn("once salvage", report["problems"][0])
            text = self.once("verify", store, code=1)
            self.assertIn(os.fsencode(store), text.stdout)
            self.assertTrue(text.stdout.endswith(b"\nnothing else could be checked, 1 problem\n"))

    def test_what_is_no_store_is_not_damaged(self):
        self.once("verify", self.directory / "none", code=74)


class Backup(ToolTest):
    def test_copies(self):
        store = self.make_store(answered("a", b"x"), data_row(b"k", b"v"), event_row(5))
        for options, is_there in ([], "is_file"), (["--layout", "directory"], "is_dir"):
            copy = self.fresh_path()
            self.assertEqual(self.json_of("backup", store, copy, *options),
                             {"store": str(store), "destination": str(copy)})
            self.assertTrue(getattr(copy, is_there)())
            self.assertEqual(self.once("dump", copy).stdout, self.once("dump", store).stdout)
            self.once("verify", copy)

    def test_overwrites_nothing(self):
        store = self.make_store(answered("a"))
        before = snapshot(self.directory)
        self.once("backup", store, store, code=64)
        self.once("backup", store, self.directory, code=64)
        self.assertEqual(snapshot(self.directory), before)


class ExitCodes(ToolTest):
    def test_mismatch_65(self):
        store = self.fresh_path()
        self.once("run", store, "--key", "a", "--", "echo", "1")
        self.once("run", store, "--key", "a", "--", "echo", "2", code=65)

    def test_in_doubt_70(self):
        store = self.make_store(key_row("a", "in_doubt"))
        self.once("run", store, "--key", "a", "--", "true", code=70)

    def test_busy_75(self):
        store = self.make_store(key_row("a", "in_progress", holder=holder()))
        self.once("run", store, "--key", "a", "--wait", "0s", "--", "true", code=75)

    def test_locked_74(self):
        for layout in LAYOUTS:
            store = self.make_store(answered("a"), layout=layout)
            with held(store):
                said = self.once("rm", store, "a", code=74).stderr
                self.assertIn(b"wait for it to finish and try again, or end it", said)
                self.assertNotIn(b"Options", said)
                self.assertEqual(self.once("ls", store).stdout, b"a\n")


if __name__ == "__main__":
    main()
