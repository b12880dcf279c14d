"""outbox: ls, relay, retry and drop, against a web server of the test's own and files."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import signal
import subprocess
import threading
import time

from common import HOUR, LAYOUTS, NOW, TOOL, ToolTest, event_row, main


class Receiver:
    """A web server that remembers what it got and answers what the test says."""

    def __init__(self, test):
        self.requests = []
        self.answers = []  # codes for the next requests; then 204
        self.got = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.got:
                    receiver.requests.append((dict(self.headers), body))
                    code = receiver.answers.pop(0) if receiver.answers else 204
                    receiver.got.notify_all()
                self.send_response(code)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/events" % self.server.server_port
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(thread.join)
        test.addCleanup(self.server.shutdown)

    def wait_for(self, count):
        with self.got:
            if not self.got.wait_for(lambda: len(self.requests) >= count, 60):
                raise AssertionError("%d of %d requests came" % (len(self.requests), count))

    def ids(self):
        return [json.loads(body)["id"] for _, body in self.requests]


class Outbox(ToolTest):
    def setUp(self):
        super().setUp()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            os.environ.pop(name, None)

    def statuses(self, store):
        return {event["id"]: event["status"]
                for event in self.json_lines_of("outbox", "ls", store, "--status", "all", "--json")}

    def test_ls_lists_what_is_not_delivered(self):
        store = self.make_store(
            event_row(1), event_row(2, "delivered"),
            event_row(3, "dead", retries=5, last_error="404: \x1b gone"),
            event_row(4, next_attempt_at=NOW + HOUR, retries=1, last_error="down"))
        rows = self.json_lines_of("outbox", "ls", store, "--json")
        self.assertEqual([row["id"] for row in rows], ["event-1", "event-3", "event-4"])
        self.assertEqual(rows[1]["last_error"], "404: \x1b gone")
        self.assertEqual(rows[2]["next_attempt_at"], NOW + HOUR)
        for status, want in (("dead", 1), ("pending", 2), ("delivered", 1), ("all", 4)):
            listed = self.json_lines_of("outbox", "ls", store, "--status", status, "--json")
            self.assertEqual(len(listed), want, status)
        text = self.once("outbox", "ls", store, "--status", "dead").stdout.decode()
        self.assertIn("event-3", text)
        self.assertIn("gone", text)
        self.assertNotIn("\x1b", text)

    def test_dump_and_load_keep_what_an_attempt_has_left(self):
        row = event_row(4, next_attempt_at=NOW + HOUR, retries=1, last_error="down")
        store = self.make_store(row)
        dump = self.once("dump", store, "--table", "outbox").stdout
        self.assertEqual(json.loads(dump.splitlines()[0]), row)

    def test_relays_to_a_file_what_is_due_once(self):
        store = self.make_store(event_row(1), event_row(2, "delivered"),
                                event_row(3, "dead", aggregate_id="8"),
                                event_row(4, payload=b"\xff", headers={"content-type": "x/y"}))
        file = self.directory / "out.jsonl"
        done = self.json_of("outbox", "relay", store, "--to", file, "--once")
        self.assertEqual(done, {"delivered": 2, "failed": 0, "dead": 0})
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        self.assertEqual([line["id"] for line in lines], ["event-1", "event-4"])
        self.assertEqual(lines[0]["data"], {})
        self.assertEqual(lines[0]["aggregateid"], "9")
        self.assertEqual(lines[1]["data_base64"], "/w==")
        self.assertEqual(lines[1]["datacontenttype"], "x/y")
        self.assertEqual(self.once("outbox", "relay", store, "--to", file, "--once").stdout,
                         b"0 delivered, 0 failed, 0 dead\n")
        self.assertEqual(len(file.read_text().splitlines()), 2)
        self.assertEqual(self.statuses(store), {"event-1": "delivered", "event-2": "delivered",
                                                "event-3": "dead", "event-4": "delivered"})
        self.once("verify", store)

    def test_relays_to_stdout(self):
        store = self.make_store(event_row(1), event_row(2))
        done = self.once("outbox", "relay", store, "--to", "-", "--once")
        self.assertEqual([json.loads(line)["id"] for line in done.stdout.splitlines()],
                         ["event-1", "event-2"])
        self.assertIn(b"2 delivered", done.stderr)

    def test_ends_a_line_that_was_torn(self):
        file = self.directory / "out.jsonl"
        file.write_text('{"torn": ')
        store = self.make_store(event_row(1))
        self.once("outbox", "relay", store, "--to", file, "--once")
        lines = file.read_text().splitlines()
        self.assertEqual(lines[0], '{"torn": ')
        self.assertEqual(json.loads(lines[1])["id"], "event-1")

    def test_relays_to_a_web_server_signed(self):
        receiver = Receiver(self)
        key = self.directory / "key"
        key.write_text("whsec_" + base64.b64encode(b"0123456789abcdef").decode() + "\n")
        store = self.make_store(event_row(1, payload=b'{"a": [1,\n 2.50]}'))
        self.once("outbox", "relay", store, "--to", receiver.url, "--once",
                  "--secret-file", key, "--header", "Authorization: Bearer abc")
        headers, body = receiver.requests[0]
        self.assertEqual(headers["Authorization"], "Bearer abc")
        self.assertTrue(headers["Content-Type"].startswith("application/cloudevents+json"))
        self.assertIn(b'{"a": [1,  2.50]}', body)
        signed = b"event-1." + headers["webhook-timestamp"].encode() + b"." + body
        mac = hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()
        self.assertEqual(headers["webhook-signature"], "v1," + base64.b64encode(mac).decode())
        self.assertEqual(headers["webhook-id"], "event-1")
        self.assertLess(abs(time.time() - int(headers["webhook-timestamp"])), 300)

    def test_binary_mode(self):
        receiver = Receiver(self)
        store = self.make_store(event_row(1, payload=b"\x00\xff", aggregate_id="a b%"))
        self.once("outbox", "relay", store, "--to", receiver.url, "--once", "--mode", "binary",
                  "--source", "//shop/orders")
        headers, body = receiver.requests[0]
        headers = {name.lower(): value for name, value in headers.items()}
        self.assertEqual(body, b"\x00\xff")
        self.assertEqual(headers["ce-id"], "event-1")
        self.assertEqual(headers["ce-specversion"], "1.0")
        self.assertEqual(headers["ce-source"], "//shop/orders")
        self.assertEqual(headers["ce-type"], "order.placed")
        self.assertEqual(headers["ce-aggregateid"], "a%20b%25")
        self.assertEqual(headers["content-type"], "application/octet-stream")

    def test_failures_retry_and_drop(self):
        receiver = Receiver(self)
        receiver.answers = [503, 410]
        store = self.make_store(event_row(1), event_row(2, aggregate_id="8"), event_row(3))
        # One at a time, so that each gets the answer that is meant for it.
        done = self.once("outbox", "relay", store, "--to", receiver.url, "--once", "--initial", "1h",
                         "--max", "2h", "--at-once", "1", "--json", code=1)
        self.assertEqual(json.loads(done.stdout), {"delivered": 0, "failed": 1, "dead": 1})
        self.assertEqual(self.statuses(store),
                         {"event-1": "pending", "event-2": "dead", "event-3": "pending"})
        error = self.json_lines_of("outbox", "ls", store, "--status", "dead", "--json")[0]["last_error"]
        self.assertIn("410", error)
        # It waits for an hour, unless somebody says otherwise.
        self.once("outbox", "relay", store, "--to", receiver.url, "--once")
        self.assertEqual(len(receiver.requests), 2)
        self.assertEqual(self.json_of("outbox", "retry", store, "event-1"), {"retried": 1})
        self.assertEqual(self.json_of("outbox", "retry", store, "--all-dead"),
                         {"retried": 1})
        self.once("outbox", "drop", store, "event-3")
        self.once("outbox", "relay", store, "--to", receiver.url, "--once", "--at-once", "1")
        self.assertEqual(receiver.ids()[2:], ["event-1", "event-2"])
        self.assertEqual(self.statuses(store), {"event-1": "delivered", "event-2": "delivered"})

    def test_what_cannot_be_decided_is_told(self):
        store = self.make_store(event_row(1, "delivered"))
        for command in ("retry", "drop"):
            self.assertIn(b"no event", self.once("outbox", command, store, "none", code=1).stderr)
            done = self.once("outbox", command, store, "event-1", code=1)
            self.assertIn(b"delivered already", done.stderr)
        self.once("outbox", "retry", store, code=64)
        self.once("outbox", "retry", store, "event-1", "--all-dead", code=64)

    def test_an_event_that_cannot_be_read_is_passed_over_told_and_dropped(self):
        for layout in LAYOUTS:
            with self.subTest(layout):
                self.pass_over_told_and_dropped(layout)

    def pass_over_told_and_dropped(self, layout):
        store = self.make_store(event_row(1), event_row(2, aggregate_id="8"), event_row(3),
                                event_row(4, "dead", aggregate_id="7"), layout=layout)
        sequence = event_row(2)["sequence"]
        subprocess.run([os.environ["ONCE_MAKE_UNREADABLE"], store, str(sequence)], check=True)
        way_out = b"once outbox drop STORE --sequence %d" % sequence

        done = self.once("outbox", "ls", store, "--json", code=74)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(row["sequence"], row["status"]) for row in rows],
                         [(event_row(1)["sequence"], "pending"), (sequence, "unreadable"),
                          (event_row(3)["sequence"], "pending"),
                          (event_row(4)["sequence"], "dead")])
        self.assertIn(way_out, done.stderr)
        done = self.once("outbox", "ls", store, code=74)
        self.assertIn(b"%d unreadable\n" % sequence, done.stdout)

        file = self.directory / (layout + ".jsonl")
        for delivered in (2, 0):
            done = self.once("outbox", "relay", store, "--to", file, "--once", code=74)
            self.assertEqual(done.stdout, b"%d delivered, 0 failed, 0 dead\n" % delivered)
            self.assertIn(way_out, done.stderr)
        ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
        self.assertEqual(ids, ["event-1", "event-3"])
        self.assertEqual(self.json_of("outbox", "retry", store, "event-4"), {"retried": 1})
        self.once("outbox", "drop", store, "event-4")

        child = subprocess.Popen([TOOL, "outbox", "relay", store, "--to", file],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        told = child.stderr.readline()
        self.assertIn(way_out, told)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.communicate(timeout=60), (b"", b""))  # it is told once
        self.assertEqual(child.returncode, 0)

        self.once("outbox", "drop", store, code=64)
        self.once("outbox", "drop", store, "event-1", "--sequence", sequence, code=64)
        self.once("outbox", "drop", store, "--sequence", "-1", code=64)
        done = self.once("outbox", "drop", store, "--sequence", event_row(1)["sequence"], code=1)
        self.assertIn(b"can be read", done.stderr)
        self.once("outbox", "drop", store, "--sequence", 7, code=1)
        self.assertEqual(self.json_of("outbox", "drop", store, "--sequence", sequence),
                         {"dropped": sequence})
        self.assertEqual(self.once("outbox", "ls", store).stdout, b"")
        self.once("verify", store)

    def test_bad_options_are_refused_before_anything_happens(self):
        store = self.make_store(event_row(1))
        file = self.directory / "f"
        bad = [["--to", "ftp://x/"], ["--to", "http://"], ["--to", ""],
               ["--to", "http://x", "--header", "x"], ["--to", "http://x", "--header", "ce-id: 1"],
               ["--to", "http://x", "--header", "a: \r\nb"], ["--to", "http://x", "--timeout", "0s"],
               ["--to", file, "--jitter", "2"], ["--to", file, "--multiplier", "0"],
               ["--to", file, "--initial", "0s"], ["--to", file, "--batch", "0"],
               ["--to", file, "--poll", "99ms"],
               ["--to", "http://x", "--mode", "other"]]
        for options in bad:
            self.once("outbox", "relay", store, "--once", *options, code=64)
        self.assertEqual(self.statuses(store), {"event-1": "pending"})
        missing = self.directory / "none"
        self.once("outbox", "relay", missing, "--once", "--to", self.directory / "g", code=74)
        self.assertFalse(missing.exists())
        self.assertFalse((self.directory / "g").exists())

    def test_secrets_are_not_shown(self):
        store = self.make_store(event_row(1))
        done = self.once("outbox", "relay", store, "--once", "--to",
                         "http://user:hunter2@127.0.0.1:1/p?token=hunter2", "--header",
                         "Authorization: hunter2", "--max-retries", "0", code=1)
        shown = done.stdout + done.stderr + self.once("outbox", "ls", store).stdout
        shown += self.once("dump", store).stdout
        self.assertIn(b"127.0.0.1", shown)
        self.assertNotIn(b"hunter2", shown)

    def test_goes_on_until_it_is_told_to_end_while_others_use_the_store(self):
        receiver = Receiver(self)
        receiver.answers = [500]
        store = self.make_store(event_row(1))
        child = subprocess.Popen(
            [TOOL, "outbox", "relay", store, "--to", receiver.url, "--initial", "50ms", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        receiver.wait_for(2)
        # Somebody else uses the store meanwhile.
        for i in range(3):
            self.once("run", store, "--key", "k%d" % i, "--", "true")
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
        self.assertEqual((child.returncode, err), (0, b""))
        reports = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(sum(report["delivered"] for report in reports), 1)
        self.assertEqual(sum(report["failed"] for report in reports), 1)
        self.assertEqual(self.statuses(store), {"event-1": "delivered"})
        self.once("verify", store)

    def test_polls_where_nothing_tells_of_changes(self):
        receiver = Receiver(self)
        store = self.make_store(event_row(1), *[event_row(i, "dead", aggregate_id=str(i))
                                                for i in range(2, 6)])
        child = subprocess.Popen(
            [TOOL, "outbox", "relay", store, "--to", receiver.url, "--poll", "100ms"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "LD_PRELOAD": os.environ["ONCE_SILENT_FILE_SYSTEM"]})
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        receiver.wait_for(1)
        # One after the other: some of them come when it has begun to wait.
        for i in range(2, 6):
            self.assertEqual(child.stdout.readline(), b"1 delivered, 0 failed, 0 dead\n")
            self.once("outbox", "retry", store, "event-%d" % i)
            receiver.wait_for(i)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.communicate(timeout=60)[1], b"")
        self.assertEqual(child.returncode, 0)


if __name__ == "__main__":
    main()
