"""workflow ls, workflow show: runs that stand in a store as rows written by hand."""

import json
import struct

from common import (HOUR, NOW, ToolTest, answered, bytes_json, checkpoint_row, holder, key_row,
                    main, token)

STATUS = {"pending": 1, "running": 2, "done": 3, "failed": 4, "sleeping": 5}


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(value)) + value


def optional(value):
    return b"\0" if value is None else b"\1" + text(value)


def variables(pairs):
    return struct.pack("<I", len(pairs)) + b"".join(text(k) + text(v) for k, v in pairs)


def run_data(nodes, form=1, version="", given=None, result=""):
    """`nodes`: (name, kind, critical, after)."""
    data = bytes([1, form]) + b"\xab" * 16 + text(version) + optional(given) + text(result)
    data += struct.pack("<I", len(nodes))
    for name, kind, critical, after in nodes:
        data += text(name) + bytes([kind, critical]) + struct.pack("<I", len(after))
        data += b"".join(text(before) for before in after)
    return data


def node_data(status, order=0, attempts=1, started=NOW - 5000, finished=NOW - 1000, due=0,
              output=None, code=0, failure_code="", message="", sets=()):
    return (struct.pack("<BBIIqqq", 1, STATUS[status], order, attempts, started, finished, due)
            + optional(output) + bytes([code]) + text(failure_code) + text(message)
            + variables(sets))


def progress_data(strategy=1, checkpoints=4, cost_us=1500, mtbf=3_600_000, interval=0, failures=1,
                  running=9000, sets=()):
    return (struct.pack("<BBQQqqIq", 1, strategy, checkpoints, cost_us, mtbf, interval, failures,
                        running) + variables(sets))


def checkpoint(key, name, data, counter=1, sequence=1):
    row = checkpoint_row(key, name, b"", counter, sequence)
    row["data"] = bytes_json(data)
    return row


KEY = "acme/workflow:order/42"
GRAPH = [("reserve", 1, 0, []), ("charge", 2, 1, []), ("pause", 3, 0, ["charge"]),
         ("ship", 1, 0, ["reserve", "pause"]), ("bill", 1, 0, ["charge"])]


def order_run(key=KEY, status="released", counter=1, **fields):
    first = counter * 10
    return [
        key_row(key, status, counter, **fields),
        checkpoint(key, "run", run_data(GRAPH, version="v7", given="in"), counter, first),
        checkpoint(key, "node/reserve", node_data("done", 1, output="shelf 3", sets=[("n", "5")]),
                   counter, first + 1),
        checkpoint(key, "node/charge", node_data("done", 2, attempts=3), counter, first + 2),
        checkpoint(key, "node/pause",
                   node_data("sleeping", 3, finished=0, due=NOW + HOUR), counter, first + 3),
        checkpoint(key, "node/bill",
                   node_data("failed", 4, code=32, message="the printer\x1b[31m is on fire"),
                   counter, first + 4),
        checkpoint(key, "node/gone", node_data("done", 5), counter, first + 5),
        checkpoint(key, "progress", progress_data(), counter, first + 6),
    ]


class Show(ToolTest):
    def tree(self, *rows, key=KEY, arguments=()):
        store = self.make_store(*rows)
        return self.once("workflow", "show", store, key, *arguments).stdout.decode().splitlines()

    def test_a_graph_is_a_tree_of_its_nodes(self):
        lines = self.tree(order_run())
        self.assertIn(KEY + "  given back, attempt 1", lines[0])
        self.assertIn("3 of 6 nodes done", lines[1])
        self.assertIn("version v7", lines[1])
        self.assertIn("checkpoint %d of" % token(16), lines[1])
        starts = [
            "├─ reserve  done", "├─ charge  done", "│  ├─ pause  sleeping  until ",
            "│  │  └─ ship  pending  also after reserve", "│  └─ bill  failed",
            "└─ gone  done",
        ]
        for line, start in zip(lines[2:], starts):
            self.assertTrue(line.startswith(start), (line, start))
        self.assertIn("3 attempts", lines[3])
        self.assertIn("took 4s", lines[2])
        self.assertIn("of an earlier definition", lines[7])
        self.assertEqual(lines[8:], ["n = 5"])
        # Stored bytes do not steer the terminal.
        self.assertIn("the printer\\x1b[31m is on fire", lines[6])

    def test_steps_stand_below_each_other_in_their_order(self):
        lines = self.tree(
            key_row(KEY, "in_progress", holder=holder()),
            checkpoint(KEY, "run", run_data([], form=2)),
            checkpoint(KEY, "node/z", node_data("done", 1), sequence=2),
            checkpoint(KEY, "node/b", node_data("done", 2), sequence=3),
            checkpoint(KEY, "node/a", node_data("running", 3, finished=0), sequence=4))
        self.assertIn("in progress", lines[0])
        self.assertEqual([line.split("  ")[0] for line in lines[2:]], ["├─ z", "├─ b", "└─ a"])
        self.assertIn("running  since ", lines[4])
        self.assertNotIn("broken off", lines[4])

    def test_a_run_whose_process_has_ended_is_broken_off(self):
        lines = self.tree(
            key_row(KEY, "in_progress", lease_until=NOW - HOUR),
            checkpoint(KEY, "run", run_data(GRAPH)),
            checkpoint(KEY, "node/charge", node_data("running", 0, finished=0), sequence=2))
        self.assertIn("broken off, attempt 1", lines[0])
        self.assertIn("broken off", lines[3])

    def test_a_run_that_sleeps(self):
        nodes = [("pause", 3, 0, [])]
        lines = self.tree(
            key_row(KEY, "released"), checkpoint(KEY, "run", run_data(nodes)),
            checkpoint(KEY, "node/pause", node_data("sleeping", 1, finished=0, due=NOW + HOUR)))
        self.assertIn("sleeping, attempt 1, until ", lines[0])

    def test_a_run_without_a_checkpoint(self):
        lines = self.tree(key_row(KEY, "in_progress", holder=holder()))
        self.assertEqual(lines[1:], ["no checkpoint yet"])

    def test_json_is_all_of_it(self):
        store = self.make_store(order_run())
        run = self.json_of("workflow", "show", store, KEY)
        self.assertEqual(run["key"], KEY)
        self.assertEqual(run["workflow"], "order")
        self.assertEqual(run["id"], "42")
        self.assertEqual(run["status"], "released")
        self.assertFalse(run["abandoned"])
        self.assertIsNone(run["sleeping_until"])  # a failed node is there too
        self.assertEqual(run["checkpoint"], token(16))
        self.assertEqual(run["form"], "graph")
        self.assertEqual(run["version"], "v7")
        self.assertEqual(run["definition"], "ab" * 16)
        self.assertEqual(run["input"], {"text": "in"})
        self.assertIsNone(run["outcome"])
        self.assertEqual(run["variables"], [{"name": "n", "value": {"text": "5"}}])
        self.assertEqual(run["figures"], {
            "strategy": "after_each", "checkpoints": 4, "cost_us": 1500, "mtbf": 3_600_000,
            "interval": 0, "failures": 1, "running": 9000})
        nodes = {node["name"]: node for node in run["nodes"]}
        self.assertEqual([node["name"] for node in run["nodes"]],
                         ["reserve", "charge", "pause", "ship", "bill", "gone"])
        self.assertEqual(nodes["reserve"]["output"], {"text": "shelf 3"})
        self.assertTrue(nodes["charge"]["critical"])
        self.assertEqual(nodes["ship"]["after"], ["reserve", "pause"])
        self.assertEqual(nodes["ship"]["status"], "pending")
        self.assertEqual(nodes["bill"]["error"]["error"], "work_retryable")
        self.assertEqual(nodes["pause"]["due"], NOW + HOUR)
        self.assertFalse(nodes["gone"]["defined"])

    def test_an_id_alone_is_enough_if_only_one_run_has_it(self):
        store = self.make_store(order_run(), order_run("other/workflow:order/7", counter=2),
                                order_run("other/workflow:refund/7", counter=3), answered("42"))
        show = lambda *arguments: self.json_of("workflow", "show", store, *arguments)["key"]
        self.assertEqual(show("42"), KEY)
        self.assertEqual(show("7", "--name", "refund"), "other/workflow:refund/7")
        self.assertEqual(show("7", "--name", "order", "--tenant", "other"),
                         "other/workflow:order/7")
        self.assertEqual(show("other/workflow:order/7"), "other/workflow:order/7")
        said = self.once("workflow", "show", store, "7", code=64).stderr.decode()
        self.assertIn("2 runs 7", said)
        self.assertIn("other/workflow:order/7\n", said)
        self.assertIn("other/workflow:refund/7", said)

    def test_what_is_not_there_and_what_is_no_run(self):
        store = self.make_store(order_run(), answered("t/charge/1", counter=2))
        self.assertIn(b"there is no run 43", self.once("workflow", "show", store, "43",
                                                       code=1).stderr)
        self.once("workflow", "show", store, "acme/workflow:order/43", code=1)
        self.once("workflow", "show", store, "42", "--name", "refund", "--tenant", "acme", code=1)
        self.assertIn(b"is not the key of a run",
                      self.once("workflow", "show", store, "t/charge/1", code=64).stderr)
        self.once("workflow", "show", store, "a%zz", code=64)
        self.once("workflow", store, code=64)
        self.once("workflow", code=64)

    def test_damage_and_hostile_rows(self):
        for data, code in ((b"\x01", 74), (b"\x02", 74), (b"", 74)):
            store = self.make_store(key_row(KEY, "released"), checkpoint(KEY, "run", data))
            self.once("workflow", "show", store, KEY, code=code)
        # A cycle, which no program of ours writes, is drawn all the same.
        cycle = [("a", 1, 0, ["b"]), ("b", 1, 0, ["a"]), ("c", 1, 0, ["nowhere", "c"])]
        lines = self.tree(key_row(KEY, "released"), checkpoint(KEY, "run", run_data(cycle)))
        self.assertEqual(len(lines), 5)
        chain = [(str(i), 1, 0, [str(i - 1)] if i else []) for i in range(3000)]
        lines = self.tree(key_row(KEY, "released"), checkpoint(KEY, "run", run_data(chain)))
        self.assertEqual(len(lines), 3002)


class Ls(ToolTest):
    def test_lists_runs_and_no_other_keys(self):
        store = self.make_store(
            answered("plain"), answered("t/workflow/1", counter=2),
            order_run("t/workflow:b/1", counter=3), order_run("workflow:c", counter=4),
            order_run("a/workflow:b/2", "in_progress", 5),
            order_run("a/workflow:c%2Fd/3", "in_doubt", 6))
        ls = lambda *arguments: self.once("workflow", "ls", store,
                                          *arguments).stdout.decode().split()
        self.assertEqual(ls(), ["a/workflow:b/2", "a/workflow:c%2Fd/3", "t/workflow:b/1"])
        self.assertEqual(ls("--name", "b"), ["a/workflow:b/2", "t/workflow:b/1"])
        self.assertEqual(ls("--name", "c/d"), ["a/workflow:c%2Fd/3"])
        self.assertEqual(ls("--tenant", "a"), ["a/workflow:b/2", "a/workflow:c%2Fd/3"])
        self.assertEqual(ls("--tenant", ""), [])
        self.assertEqual(ls("--tenant", "t", "--name", "b"), ["t/workflow:b/1"])
        self.assertEqual(ls("--status", "in-doubt"), ["a/workflow:c%2Fd/3"])
        self.once("workflow", "ls", store, "--status", "nonsense", code=64)

    def test_json_is_a_line_a_run(self):
        store = self.make_store(order_run(), order_run("b/workflow:order/1", counter=2))
        runs = self.json_lines_of("workflow", "ls", store, "--json")
        self.assertEqual([run["key"] for run in runs], [KEY, "b/workflow:order/1"])
        self.assertEqual((runs[0]["done"], runs[0]["nodes"]), (3, 6))
        again = self.once("--json", "workflow", "ls", store).stdout.splitlines()
        self.assertEqual([json.loads(line) for line in again], runs)

    def test_a_run_that_cannot_be_read_is_listed_among_the_others(self):
        newer = checkpoint("a/workflow:order/1", "node/x", b"\x09 of a newer version", 2, 20)
        store = self.make_store(key_row("a/workflow:order/1", "released", 2), newer, order_run())
        said = self.once("workflow", "ls", store, code=74)
        self.assertEqual(said.stdout.decode().split(), ["a/workflow:order/1", KEY])
        self.assertIn("a/workflow:order/1", said.stderr.decode())
        self.assertIn("newer version", said.stderr.decode())
        lines = self.once("workflow", "ls", store, "--json", code=74).stdout.splitlines()
        runs = [json.loads(line) for line in lines]
        self.assertEqual(runs[0]["unreadable"]["error"], "newer_format")
        self.assertIsNone(runs[1]["unreadable"])

    def test_no_store_is_made(self):
        path = self.fresh_path()
        self.once("workflow", "ls", path, code=74)
        self.assertFalse(path.exists())


if __name__ == "__main__":
    main()
