"""once salvage: what it saves of a file with damage in each of its parts, and what it tells."""

import hashlib
import json
import os
import random
import re

from common import (ToolTest, answered, checkpoint_row, data_row, event_row, history_row, key_row,
                    main)

# docs/formats.md: superblocks at 0 and 4096, the holder page, then blocks.
FIRST_BLOCK = 12288


class Salvage(ToolTest):
    def setUp(self):
        super().setUp()
        self.fresh = self.directory / "fresh"

    def filled(self, count=2500):
        """10,000 rows and more, in tables."""
        rows = []
        for i in range(count):
            rows += answered("t/o/key-%05d" % i, b"outcome %d" % i + os.urandom(40), i + 1)
            rows.append(history_row(i + 1, "t/o/other-%05d" % i, "removed"))
            rows.append(data_row(b"row-%05d" % i, os.urandom(30)))
            if i % 10 == 0:
                rows.append(event_row(10 * count + i))
        rows.append(key_row("t/o/working", "in_progress", count + 1))
        rows.append(checkpoint_row("t/o/working", "step", b"x", count + 1, 20 * count))
        return self.make_store(*rows)

    def dumped(self, store):
        rows = self.json_lines_of("dump", store, "--format", "jsonl")[:-1]
        return {self.name_of(row): row for row in rows if row["table"] != "store"}

    @staticmethod
    def name_of(row):
        key = row.get("key", row.get("sequence"))
        if row["table"] == "history":
            key = row["sequence"]
        return row["table"], str(key) + str(row.get("name", ""))

    def damage(self, store, *places):
        damaged = self.directory / "damaged"
        content = bytearray(store.read_bytes())
        for at in places:
            content[at] ^= 0x20
        damaged.write_bytes(content)
        return damaged

    def salvage(self, damaged, *arguments):
        """The exit code and the report."""
        before = hashlib.sha256(damaged.read_bytes()).hexdigest()
        if self.fresh.exists():
            self.fresh.unlink()
        done = self.once("--json", "salvage", damaged, self.fresh, *arguments, code=None)
        self.assertEqual(hashlib.sha256(damaged.read_bytes()).hexdigest(), before)
        if done.returncode not in (0, 1):
            self.assertEqual(done.stdout, b"")
            self.assertFalse(self.fresh.exists())
            return done.returncode, done.stderr.decode()
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode == 0, report["lost"] == [])
        self.assertEqual(report["problems"], [])
        self.assertIn(b"0 problems", self.once("verify", self.fresh).stdout)
        return done.returncode, report

    def test_all_of_a_store_that_is_whole(self):
        store = self.filled(100)
        rows = self.dumped(store)
        code, report = self.salvage(store)
        self.assertEqual(code, 0)
        self.assertEqual(set(report), {"damaged", "fresh", "rows", "rebuilt", "lost_log_bytes",
                                       "mended", "lost", "problems"})
        self.assertEqual(report["rows"], len(rows))
        self.assertEqual(self.dumped(self.fresh), rows)
        self.fresh.unlink()
        done = self.once("salvage", store, self.fresh)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.stdout.decode(), "saved %d rows into %s; nothing is lost\n"
                         % (len(rows), self.fresh))

    def test_damage_in_each_part_of_the_file(self):
        store = self.filled()
        rows = self.dumped(store)
        self.assertGreater(len(rows), 10_000)
        content = store.read_bytes()
        random.seed(4)
        places = {"superblock": 40, "other superblock": 4096 + 40, "holder": 8192 + 5}
        for i in range(24):
            part = (len(content) - FIRST_BLOCK) // 24
            places["blocks %d" % i] = FIRST_BLOCK + i * part + random.randrange(part)
        lossy = 0
        for part, at in places.items():
            with self.subTest(part=part, at=at):
                code, report = self.salvage(self.damage(store, at))
                self.assertIn(code, (0, 1), report)
                saved = self.dumped(self.fresh)
                differ = {name for name, row in rows.items() if saved.get(name) != row}
                if code == 0:
                    self.assertEqual(differ, set())
                    self.assertEqual(report["rows"], len(rows))
                    continue
                lossy += 1
                # One block of a table, or one commit of a log.
                self.assertLess(len(differ), 200)
                named = {loss["key"] for loss in report["lost"]}
                ranges = [loss for loss in report["lost"] if loss["key"] is None]
                self.assertTrue(ranges)
                for table, key in differ:
                    inside = any(
                        loss["table"] in (None, table)
                        and (loss["after"] is None or str(loss["after"]) <= key)
                        and (loss["before"] is None or key <= str(loss["before"]))
                        for loss in ranges)
                    self.assertTrue(key in named or inside or table == "data", (table, key))
                # What was done never looks as if it had not been.
                for name, row in rows.items():
                    if name[0] != "keys" or row["status"] != "completed":
                        continue
                    kept = saved.get(name)
                    self.assertIsNotNone(kept, name)
                    self.assertIn(kept["status"], ("completed", "in_doubt"))
        self.assertGreater(lossy, 4)

    def test_what_is_told_to_people(self):
        store = self.filled()
        content = store.read_bytes()
        for at in range(FIRST_BLOCK + 200_000, len(content), 40_000):
            damaged = self.damage(store, at)
            if self.fresh.exists():
                self.fresh.unlink()
            done = self.once("salvage", damaged, self.fresh, code=None)
            if done.returncode == 1:
                break
        self.assertEqual(done.returncode, 1)
        told = done.stderr.decode().splitlines()
        self.assertTrue(all(line.startswith("once: ") for line in told), told)
        self.assertTrue(any("bytes " in line and ".sst" in line for line in told), told)
        losses = len([line for line in told if line.startswith("once: lost: ")])
        self.assertRegex(done.stdout.decode(),
                         r"^saved \d+ rows into .*; %d loss(es)?\n$" % losses)

    def test_both_superblocks_are_lost(self):
        store = self.filled(10)
        rows = self.dumped(store)
        damaged = self.directory / "damaged"
        damaged.write_bytes(bytes(2 * 4096) + store.read_bytes()[2 * 4096:])
        self.assertIn(b"once salvage", self.once("ls", damaged, code=74).stderr)
        code, report = self.salvage(damaged)
        self.assertEqual(code, 0)
        self.assertEqual(self.dumped(self.fresh), rows)
        self.assertIn("superblocks", report["mended"][0])

    @staticmethod
    def frames(content):
        """Where the frames of the journal stand in both copies, and how long they are."""
        newest = max((0, 4096), key=lambda at: int.from_bytes(content[at + 32:at + 40], "little"))
        number = lambda at: int.from_bytes(content[at:at + 8], "little")
        slot = newest + 40 + 24 * number(newest + 88)
        one, other, length = number(slot), number(slot + 8), number(slot + 16)
        at = 0
        found = []
        while at < length:
            size = 40 + (int.from_bytes(content[one + at:one + at + 4], "little") + 7) // 8 * 8
            if number(one + at + 16) == 0:
                break
            found.append((one + at, other + at, size))
            at += size
        return found

    def test_a_frame_of_the_journal_is_lost_in_both_copies(self):
        store = self.filled(300)
        rows = self.dumped(store)
        frames = self.frames(store.read_bytes())
        self.assertGreater(len(frames), 6)
        whole = 0
        told = 0
        for i, (one, other, size) in enumerate(frames):
            with self.subTest(frame=i):
                damaged = self.damage(store, one + size // 2, other + size // 2)
                code, report = self.salvage(damaged)
                self.assertIn(code, (0, 1), report)
                saved = self.dumped(self.fresh)
                if code == 0:
                    self.assertEqual(saved, rows)
                whole += saved == rows
                why = [loss["why"] for loss in report["lost"]]
                told += any(re.search(r"the journal.* lost its frame \d+, in bytes %d to" % one, text)
                            for text in why)
                if i == 0:
                    # What it was made of is still in the other slot, or was nothing.
                    self.assertEqual(saved, rows)
                    self.assertIn("first frame of the journal", report["mended"][0])
        self.assertGreater(whole, len(frames) // 2)
        # The last ones look like the end.
        self.assertGreaterEqual(told, len(frames) - 8)
        one, other, size = frames[2]
        damaged = self.damage(store, one + size // 2, other + size // 2)
        self.assertIn(b"once salvage", self.once("ls", damaged, code=74).stderr)
        self.fresh.unlink()
        done = self.once("salvage", damaged, self.fresh, code=1)
        self.assertRegex(done.stderr.decode(), "once: lost: .*the journal.* lost its frame")

    def test_nothing_leads_to_the_files(self):
        store = self.filled(10)
        content = store.read_bytes()
        labels = [at.start() for at in re.finditer(b"ONCESLOT", content)]
        self.assertGreaterEqual(len(labels), 2)
        code, told = self.salvage(self.damage(store, 40, 4096 + 40, *labels))
        self.assertEqual(code, 74)
        self.assertIn("superblock", told)
        self.assertIn("nothing can be saved", told)

    def test_layouts(self):
        store = self.filled(50)
        rows = self.dumped(store)
        there = self.fresh_path()
        self.once("salvage", store, there, "--layout", "directory")
        self.assertTrue(there.is_dir())
        back = self.fresh_path()
        self.once("salvage", there, back)
        self.assertTrue(back.is_file())
        self.assertEqual(self.dumped(back), rows)

    def test_what_it_refuses(self):
        store = self.filled(5)
        before = store.read_bytes()
        self.fresh.write_bytes(b"mine")
        done = self.once("salvage", store, self.fresh, code=64)
        self.assertIn(b"is there already", done.stderr)
        self.assertEqual(self.fresh.read_bytes(), b"mine")
        self.once("salvage", store, store, code=64)
        self.assertEqual(store.read_bytes(), before)
        self.once("salvage", store, code=64)
        self.once("salvage", self.directory / "none", self.directory / "new", code=74)
        self.assertFalse((self.directory / "new").exists())

    def test_what_a_newer_version_has_written(self):
        store = self.fresh_path()
        self.once("salvage", self.filled(5), store, "--layout", "directory")
        (store / "ONCE").write_text("once store\nformat 9\n")
        done = self.once("salvage", store, self.fresh, code=74)
        self.assertIn(b"format 9", done.stderr)
        self.assertFalse(self.fresh.exists())


if __name__ == "__main__":
    main()
