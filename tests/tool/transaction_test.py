"""once transaction: what a coordinator has written about its transactions, told to people."""

import json
import struct

from common import ToolTest, answered, checkpoint_row, key_row, main


def text(value):
    return struct.pack("<I", len(value)) + value


def plan(*parts):
    """docs/formats.md, "Transactions"."""
    data = b"\1" + struct.pack("<I", len(parts))
    for name, saga, payload in parts:
        data += bytes([saga]) + text(name) + text(payload)
    return data


def entry(key, name, data, sequence):
    return checkpoint_row(key, "once.tx." + name, b"\1" + data, sequence=sequence)


class Transaction(ToolTest):
    def setUp(self):
        super().setUp()
        parts = plan((b"debit", 0, b"alice 30"), (b"credit", 1, b"\xff"))
        self.store = self.make_store(
            answered("acme/transfer/1", b"committed"),
            key_row("acme/transfer/2", "in_progress"),
            answered("other"),
            checkpoint_row("acme/transfer/1", "once.tx.plan", parts, sequence=1),
            entry("acme/transfer/1", "settled.debit", b"", 2),
            entry("acme/transfer/1", "settled.credit", b"", 3),
            checkpoint_row("acme/transfer/2", "once.tx.plan", parts, sequence=4),
            entry("acme/transfer/2", "vote.debit", text(b"hold 7"), 5),
            entry("acme/transfer/2", "decision", b"\1" + text(b""), 6),
            entry("acme/transfer/2", "trouble.credit", struct.pack("<I", 3) + text(b"down"), 7),
            entry("acme/transfer/2", "settled.debit", b"", 8),
            checkpoint_row("other", "theirs", sequence=9))

    def test_ls(self):
        lines = self.once("transaction", "ls", self.store).stdout.decode().splitlines()
        self.assertEqual([line.split() for line in lines],
                         [["committed", "acme/transfer/1"],
                          ["committing", "acme/transfer/2", "waits", "for", "credit"]])
        unfinished = self.once("transaction", "ls", self.store, "--unfinished").stdout
        self.assertEqual(len(unfinished.splitlines()), 1)
        out = self.json_lines_of("transaction", "ls", self.store, "--json")
        self.assertEqual([(of["key"], of["state"], of["pending"]) for of in out],
                         [("acme/transfer/1", "committed", []),
                          ("acme/transfer/2", "committing", ["credit"])])

    def test_show(self):
        out = self.once("transaction", "show", self.store, "acme/transfer/2").stdout.decode()
        self.assertIn("settled  two-phase debit  payload alice 30  vote hold 7", out)
        self.assertIn("open     saga      credit  payload \\xff", out)
        self.assertIn("failed 3 times: down", out)
        of = json.loads(self.once("transaction", "show", self.store, "acme/transfer/2",
                                  "--json").stdout)
        self.assertEqual(of["participants"][1],
                         {"name": "credit", "saga": True, "state": "open",
                          "payload": {"base64": "/w=="}, "vote": None, "failures": 3,
                          "trouble": "down"})
        self.once("transaction", "show", self.store, "other", code=1)
        self.once("transaction", "show", self.store, "nothing", code=1)
        self.once("transaction", "show", self.store, "a/b", code=64)
        self.once("transaction", code=64)

    def test_an_unfinished_one_is_left_to_its_coordinator(self):
        parts = plan((b"debit", 0, b""))
        store = self.make_store(
            key_row("t", "in_progress", on_abandon="rerun", lease_until=0),
            checkpoint_row("t", "once.tx.plan", parts, sequence=1),
            entry("t", "decision", b"\1" + text(b""), 2))
        for command in (["resolve", store, "t", "--as", "failure"],
                        ["resolve", store, "t", "--as", "rerun"],
                        ["rm", store, "t"],
                        ["run", store, "--key", "t", "--", "true"]):
            told = self.once(*command, code=75).stderr
            self.assertIn(b"Coordinator::recover", told)
        listed = self.once("transaction", "ls", store).stdout.decode()
        self.assertEqual(listed.split(), ["committing", "t", "waits", "for", "debit"])
        self.once("rm", store, "t", "--force")
        self.once("transaction", "show", store, "t", code=1)

    def test_one_that_cannot_be_read_keeps_no_other_from_being_listed(self):
        parts = plan((b"debit", 0, b""))
        store = self.make_store(
            key_row("a", "in_progress"), checkpoint_row("a", "once.tx.plan", b"\1\xff", sequence=1),
            key_row("b", "in_progress"), checkpoint_row("b", "once.tx.plan", parts, sequence=2),
            key_row("c", "in_progress"), checkpoint_row("c", "once.tx.plan", b"\1\xff", sequence=3))
        done = self.once("transaction", "ls", store, code=74)
        self.assertEqual(done.stdout.split(), [b"preparing", b"b"])
        for key in (b"transaction a ", b"transaction c "):
            self.assertEqual(done.stderr.count(key), 1, done.stderr)

    def test_damage_is_told(self):
        store = self.make_store(
            key_row("t", "in_progress"), checkpoint_row("t", "once.tx.plan", b"\1\xff"))
        self.once("transaction", "show", store, "t", code=74)
        self.once("transaction", "ls", store, code=74)


if __name__ == "__main__":
    main()
