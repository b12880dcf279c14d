"""Kills the transfer at each of its moments, recovers, and adds the money up."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop())


class Transfer(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        folder = tempfile.TemporaryDirectory(prefix="once-example.", dir=place)
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def do(self, *arguments, die=None, code=0):
        environment = {**os.environ}
        if die is not None:
            environment["ONCE_EXAMPLE_DIE"] = str(die)
        done = subprocess.run([PROGRAM, self.folder, *arguments], env=environment, timeout=120,
                              stdout=subprocess.PIPE, text=True)
        if code is not None:
            self.assertEqual(done.returncode, code, (arguments, done.stdout))
        return done

    def balances(self):
        words = self.do("balances").stdout.split()
        return {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}

    def test_moves_once_and_refuses_what_is_not_there(self):
        self.assertEqual(self.do("transfer", "1", "30").stdout, "/transfer/1 committed\n")
        self.assertEqual(self.do("transfer", "1", "30").stdout, "/transfer/1 committed before\n")
        self.assertEqual(self.balances(), {"alice": 70, "held": 0, "bob": 130})
        self.assertIn("aborted (debit voted no: poor", self.do("transfer", "2", "71").stdout)
        self.assertEqual(self.balances(), {"alice": 70, "held": 0, "bob": 130})

    def test_killed_at_each_moment(self):
        moved = 0
        for moment in range(100):
            name = "at-%d" % moment
            done = self.do("transfer", name, "1", die=moment, code=None)
            if done.returncode == 0:
                break
            self.assertEqual(done.returncode, -signal.SIGKILL)
            # By itself, or before another one.
            if moment % 2 == 0:
                self.do("recover")
            else:
                self.do("transfer", "poor-%d" % moment, "1000")
            again = self.do("transfer", name, "1").stdout
            self.assertTrue(moment == 0 or again.endswith(" before\n"), again)
            state = again.split()[1]
            moved += state == "committed"
            self.assertEqual(self.balances(),
                             {"alice": 100 - moved, "held": 0, "bob": 100 + moved}, name)
        # Some came before the decision and some after it.
        self.assertGreater(moment, 10)
        self.assertGreater(moved, 3)
        self.assertLess(moved, moment - 3)


if __name__ == "__main__":
    unittest.main()
