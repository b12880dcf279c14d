"""Pays with a gateway that fails in each way, and counts what it has charged."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop())


class Payment(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        folder = tempfile.TemporaryDirectory(prefix="once-example.", dir=place)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, *arguments):
        return subprocess.Popen([PROGRAM, self.folder, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def pay(self, *arguments, code=0):
        """What it says, on standard output if it has paid."""
        paying = self.start(*arguments)
        out, err = paying.communicate(timeout=120)
        self.assertEqual(paying.returncode, code, (arguments, out, err))
        return out if code == 0 else err

    def charged(self):
        ledger = self.folder / "ledger.txt"
        return ledger.read_text().splitlines() if ledger.exists() else []

    def test_tries_again_while_nothing_was_done_and_charges_once(self):
        lines = self.pay("order-1", "1250", "EUR", "busy", "offline").splitlines()
        self.assertEqual(lines[:2], ["attempt 1: the gateway is busy (retryable)",
                                     "attempt 2: there is no way to the gateway (not_started)"])
        self.assertRegex(lines[2], r"^paid: receipt \d+ for order-1, attempt 3, exec-[0-9a-f]{16}$")
        # The gateway would charge again if it were asked.
        again = self.pay("order-1", "1250", "EUR")
        self.assertEqual(again, lines[2].replace("paid:", "paid before:") + "\n")
        self.assertEqual(self.charged(), ["order-1 1250 EUR"])

    def test_attempts_of_one_call_have_an_end_and_those_of_the_next_go_on(self):
        self.assertIn("work_retryable", self.pay("order-1", "5", "EUR", *["busy"] * 5, code=1))
        self.assertEqual(self.charged(), [])
        self.assertIn("attempt 5,", self.pay("order-1", "5", "EUR"))
        self.assertEqual(self.charged(), ["order-1 5 EUR"])

    def test_another_amount_under_the_same_key_is_refused(self):
        self.pay("order-1", "1250", "EUR")
        self.assertIn("'cents' differs", self.pay("order-1", "9999", "EUR", code=1))
        refused = self.pay("order-1", "1250", "USD", code=1)
        self.assertTrue(refused.startswith("mismatch: "), refused)
        self.assertIn("'currency' differs", refused)
        self.assertEqual(self.charged(), ["order-1 1250 EUR"])

    def test_a_definite_no_is_kept(self):
        first = self.pay("order-2", "500", "EUR", "declined", code=1)
        self.assertEqual(self.pay("order-2", "500", "EUR", code=1), "before: " + first)
        self.assertIn("declined", first)
        self.assertEqual(self.charged(), [])

    def test_a_lost_answer_is_not_tried_again(self):
        self.assertIn("work_unknown", self.pay("order-3", "700", "EUR", "silent", code=1))
        self.assertIn("in_doubt", self.pay("order-3", "700", "EUR", code=1))
        self.assertEqual(self.charged(), ["order-3 700 EUR"])

    def test_many_at_once(self):
        paying = [self.start("order-4", "1", "EUR", "busy") for _ in range(8)]
        said = []
        for process in paying:
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
            said.append(out.splitlines()[-1].split(": ", 1))
        self.assertEqual([how for how, _ in said].count("paid"), 1)
        self.assertEqual(len({receipt for _, receipt in said}), 1)
        self.assertEqual(self.charged(), ["order-4 1 EUR"])


if __name__ == "__main__":
    unittest.main()
