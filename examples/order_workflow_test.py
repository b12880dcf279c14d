"""Kills the order at each of its nodes, before and after it acts, and goes on with it."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop())
TOOL = os.environ.get("ONCE_TOOL")

# What each node waits for, as the program has it.
AFTER = {"reserve": [], "charge": [], "points": ["charge"], "ship": ["reserve", "charge"],
         "mail": ["ship", "points"]}
RESULT = "order-1: parcel from shelf for order-1 for order-1"


def all_before(node):
    return set(AFTER[node]).union(*map(all_before, AFTER[node]))


class Order(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        folder = tempfile.TemporaryDirectory(prefix="once-example.", dir=place)
        self.addCleanup(folder.cleanup)
        self.parent = pathlib.Path(folder.name)
        self.begin("first")

    def begin(self, name):
        self.folder = self.parent / name
        self.folder.mkdir()

    def do(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, self.folder, *arguments], stdout=subprocess.PIPE, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, code, (arguments, done.stdout))
        return done.stdout

    def state(self):
        return dict(line.split() for line in self.do("show", "order-1").splitlines())

    def calls(self):
        """How often the world was called for each node, and how often it acted on that."""
        path = self.folder / "calls.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        called = {node: 0 for node in AFTER if node != "points"}
        acted = dict(called)
        for line in lines:
            word, step = line.split()
            node = step.rsplit("#", 1)[1]
            called[node] += 1
            acted[node] += word == "done"
        return called, acted

    def check_finished(self):
        self.assertEqual(self.state(), {**{node: "done" for node in AFTER}, "balance": "10"})
        called, acted = self.calls()
        self.assertEqual(set(acted.values()), {1}, acted)
        # Asked again it is replayed, and the world hears nothing of it.
        self.assertEqual(self.do("run", "order-1"), RESULT + ", before\n")
        self.assertEqual(self.do("resume"), "")
        self.assertEqual(self.calls(), (called, acted))

    def test_a_run_that_nothing_happens_to(self):
        self.assertEqual(self.do("run", "order-1"), RESULT + ", 5 nodes ran, 0 were done\n")
        self.assertEqual(set(self.calls()[0].values()), {1})
        self.check_finished()

    def test_killed_at_each_node(self):
        for node in AFTER:
            for moment in ("before", "after"):
                with self.subTest(node=node, moment=moment):
                    self.begin("%s-%s" % (node, moment))
                    self.killed_at(node, moment)

    def killed_at(self, node, moment):
        self.do("run", "order-1", node + ":" + moment, code=-signal.SIGKILL)
        state = self.state()
        done = {name for name in AFTER if state[name] == "done"}
        self.assertNotIn(node, done)
        self.assertLessEqual(all_before(node), done)
        before, _ = self.calls()
        if node != "points":
            self.assertEqual(before[node], moment == "after")

        resumed = self.do("resume")
        self.assertEqual(resumed, RESULT + ", %d nodes ran, %d were done\n"
                         % (len(AFTER) - len(done), len(done)))
        after, _ = self.calls()
        for name in done - {"points"}:
            self.assertEqual(after[name], 1, (name, "was repeated although it was done"))
        if node != "points":
            self.assertEqual(after[node], before[node] + 1)
        self.check_finished()

    def test_killed_at_one_node_after_the_other(self):
        kills = 0
        for node in AFTER:
            for moment in ("before", "after"):
                # One that runs beside another may have got done before the other died.
                if kills and self.state()[node] == "done":
                    continue
                self.do("run", "order-1", node + ":" + moment, code=-signal.SIGKILL)
                kills += 1
        self.assertGreaterEqual(kills, 4)  # `reserve` and `mail` at the least, each twice
        self.assertTrue(self.do("run", "order-1").startswith(RESULT))
        self.check_finished()

    def test_the_tool_draws_how_far_it_has_got(self):
        if not TOOL:
            self.skipTest("built without the tool")

        def tree():
            store = self.folder / "orders.once"
            return subprocess.run([TOOL, "workflow", "show", store, "order-1"], text=True,
                                  stdout=subprocess.PIPE, timeout=120, check=True).stdout

        self.do("run", "order-1", "ship:after", code=-signal.SIGKILL)
        broken = tree()
        self.assertIn("/workflow:order/order-1  broken off", broken)
        for line in ("─ reserve  done", "─ charge  done", "─ mail  pending"):
            self.assertIn(line, broken)
        self.assertRegex(broken, "─ ship  running .* broken off")
        self.do("resume")
        whole = tree()
        self.assertIn("5 of 5 nodes done", whole)
        self.assertNotIn("broken off", whole)


if __name__ == "__main__":
    unittest.main()
