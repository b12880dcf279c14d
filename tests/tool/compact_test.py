"""once compact, and what sweep, stats and verify tell of the space of a store."""

import os

from common import (HOUR, NOW, ToolTest, answered, data_row, history_row, key_row, main, outcome,
                    result_row)


class Compact(ToolTest):
    def filled(self, count=3000):
        """A store of many rows, of which some were removed."""
        rows = []
        for i in range(count):
            rows += answered("key-%d" % i, os.urandom(150), i + 1)
            rows.append(history_row(i + 1, "other-%d" % i, "removed"))
            rows.append(data_row(b"row-%d" % i, os.urandom(50)))
        store = self.make_store(*rows)
        for i in range(min(20, count // 2)):
            self.once("rm", store, "key-%d" % i)
        return store

    def test_makes_it_smaller_and_keeps_what_is_in_it(self):
        store = self.filled()
        before = os.stat(store).st_size
        dumped = self.once("dump", store, "--table", "keys").stdout
        report = self.json_of("compact", store)
        self.assertEqual(set(report), {"keys", "results", "checkpoints", "events", "history",
                                       "bytes_before", "bytes_after", "bytes_free", "bytes_held"})
        self.assertLess(os.stat(store).st_size, before)
        self.assertLess(report["bytes_after"], report["bytes_before"])
        self.assertEqual(report["bytes_held"], 0)
        self.assertLess(report["bytes_free"], report["bytes_after"])
        self.assertEqual(self.once("dump", store, "--table", "keys").stdout, dumped)
        self.assertIn(b"0 problems", self.once("verify", store).stdout)
        # Again: it stays as it is, but for what opening it takes.
        again = self.json_of("compact", store)
        self.assertLess(again["bytes_after"], 1.2 * report["bytes_after"])

    def test_tells_people_two_numbers(self):
        store = self.filled(10)
        self.assertRegex(self.once("compact", store).stdout.decode(),
                         r"^\d+ bytes before, \d+ after\n$")

    def test_what_has_expired_goes(self):
        store = self.make_store(
            key_row("old", expires_at=NOW - HOUR),
            result_row("old", outcome(), expires_at=NOW - HOUR), answered("new", counter=2))
        report = self.json_of("compact", store)
        self.assertEqual((report["keys"], report["results"]), (1, 1))
        self.assertEqual(self.once("ls", store).stdout, b"new\n")
        self.assertEqual(self.json_of("stats", store)["expired"], 0)

    def test_of_a_directory(self):
        store = self.fresh_path()
        self.once("run", store, "--layout", "directory", "--key", "a", "--", "echo", "x")
        report = self.json_of("compact", store)
        self.assertEqual(report["bytes_held"], 0)
        self.assertEqual(self.once("get", store, "a").stdout, b"x\n")
        verified = self.json_of("verify", store)
        self.assertEqual((verified["blocks"], verified["blocks_free"]), (0, 0))

    def test_blocks_and_free_bytes_are_counted(self):
        store = self.filled(500)
        verified = self.json_of("verify", store)
        self.assertEqual(verified["problems"], [])
        self.assertEqual(verified["bytes"], os.stat(store).st_size)
        self.assertEqual(verified["blocks"], os.stat(store).st_size // 4096 - 3)
        self.assertLess(verified["blocks_free"], verified["blocks"])
        self.assertRegex(self.once("verify", store).stdout.decode(),
                         r"\d+ rows and \d+ bytes in \d+ blocks checked, 0 problems")
        stats = self.json_of("stats", store)
        self.assertEqual(stats["bytes_on_disk"], os.stat(store).st_size)
        self.assertEqual(stats["bytes_free"], 4096 * verified["blocks_free"])

    def test_what_it_refuses(self):
        self.once("compact", self.directory / "none", code=74)
        self.assertFalse((self.directory / "none").exists())
        self.once("compact", code=64)
        text = self.directory / "text"
        text.write_bytes(b"x" * 100_000)
        self.once("compact", text, code=74)
        self.assertEqual(text.read_bytes(), b"x" * 100_000)


if __name__ == "__main__":
    main()
