"""log --follow: everything that happens is printed, once, and it ends when it is told to."""

import json
import os
import select
import signal
import subprocess
import threading

from common import LAYOUTS, TOOL, ToolTest, history_row, main, remove, token


class Follow(ToolTest):
    def follow(self, store, *arguments):
        # Not buffered here, or select() would not see a line that was read with the one before.
        child = subprocess.Popen([TOOL, "log", store, "--follow", "--json", *arguments],
                                 bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def entry(self, child):
        self.assertTrue(select.select([child.stdout], [], [], 60)[0], "nothing came")
        return json.loads(child.stdout.readline())

    def end(self, child, number=signal.SIGINT):
        """Ends it; gives what it printed meanwhile."""
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, err), (0, b""))
        return [json.loads(line) for line in out.splitlines()]

    def test_prints_what_is_there_and_what_comes(self):
        for layout in LAYOUTS:
            store = self.make_store(history_row(1, "a"), layout=layout)
            child = self.follow(store)
            self.assertEqual(self.entry(child)["sequence"], token(1))
            self.once("run", store, "--key", "b", "--", "true")
            self.assertEqual([self.entry(child)["what"] for _ in range(2)], ["reserved", "completed"])
            self.once("rm", store, "b")
            self.assertEqual(self.entry(child)["what"], "removed")
            self.assertEqual(self.end(child), [])

    def test_of_one_key(self):
        store = self.make_store(history_row(1, "a"), history_row(2, "b"))
        child = self.follow(store, "--key", "b")
        self.assertEqual(self.entry(child)["key"], "b")
        self.once("run", store, "--key", "a", "--", "true")
        self.once("run", store, "--key", "b2", "--", "true")
        self.once("run", store, "--key", "b", "--", "true")
        self.assertEqual([self.entry(child)["key"] for _ in range(2)], ["b", "b"])
        self.assertEqual(self.end(child), [])

    def test_another_store_in_its_place(self):
        store = self.make_store(history_row(1, "a"))
        for _ in range(3):
            self.once("run", store, "--key", "b", "--", "true")  # openings, by which it is told
        child = self.follow(store)
        while self.entry(child)["key"] != "b":
            pass
        fresh = self.fresh_path()
        self.once("run", fresh, "--key", "of-another", "--", "true")
        fresh.rename(store)
        while self.entry(child)["key"] != "of-another":
            pass
        self.once("run", store, "--key", "and-later", "--", "true")
        while self.entry(child)["key"] != "and-later":
            pass
        self.end(child)

    def test_none_is_missed_and_none_comes_twice(self):
        for layout in LAYOUTS:
            store = self.make_store(history_row(1, "a"), layout=layout)
            child = self.follow(store)
            got = [self.entry(child)]
            runs = 12

            def run(name):
                for i in range(runs):
                    subprocess.run([TOOL, "run", store, "--key", "%s%d" % (name, i), "--", "true"],
                                   check=True, timeout=120)

            writers = [threading.Thread(target=run, args=(name,)) for name in "xyz"]
            for writer in writers:
                writer.start()
            while len(got) < 1 + 2 * 3 * runs:
                got.append(self.entry(child))
            for writer in writers:
                writer.join()
            got += self.end(child)
            self.assertEqual(got, self.json_lines_of("log", store, "--json"))
            self.assertEqual(len({entry["sequence"] for entry in got}), len(got))

    def test_signals_end_it(self):
        store = self.make_store(history_row(1, "a"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child = self.follow(store)
            self.entry(child)
            self.assertEqual(self.end(child, number), [])

    def test_it_ends_when_nobody_reads(self):
        store = self.make_store(history_row(1, "a"))
        child = self.follow(store)
        self.entry(child)
        child.stdout.close()
        # Nothing has to happen in the store for that.
        self.assertEqual(child.wait(60), 0)
        self.assertEqual(child.stderr.read(), b"")

    def test_it_sleeps_while_nothing_happens(self):
        for layout in LAYOUTS:
            store = self.make_store(history_row(1, "a"), layout=layout)
            child = self.follow(store)
            self.entry(child)

            def used():
                with open("/proc/%d/stat" % child.pid) as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                return int(fields[11]) + int(fields[12])

            before = used()
            self.assertFalse(select.select([child.stdout], [], [], 1.5)[0])
            self.assertLessEqual((used() - before) / os.sysconf("SC_CLK_TCK"), 0.3)
            self.end(child)

    def test_there_is_no_store(self):
        for words in ([], ["--follow"]):
            done = self.once("log", self.fresh_path(), *words, code=74)
            self.assertIn(b"check the path", done.stderr)

    def test_a_store_that_goes_away(self):
        for layout in LAYOUTS:
            store = self.make_store(history_row(1, "a"), layout=layout)
            child = self.follow(store)
            self.entry(child)
            remove(store)
            _, err = child.communicate(timeout=60)
            self.assertEqual(child.returncode, 74)
            self.assertIn(b"once: ", err)


if __name__ == "__main__":
    main()
