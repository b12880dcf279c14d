"""Lets the receiver fail and die, and the sender too, and adds up what has arrived."""

import http.server
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

PROGRAM = os.path.abspath(sys.argv.pop())


class Webhook(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        folder = tempfile.TemporaryDirectory(prefix="once-example.", dir=place)
        self.addCleanup(folder.cleanup)
        self.parent = pathlib.Path(folder.name)
        self.begin("first")

    def begin(self, name):
        self.folder = self.parent / name
        self.folder.mkdir()
        self.port = 0

    def start(self, *arguments):
        process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE,
                                   text=True)

        def end():
            process.kill()
            process.communicate(timeout=120)

        self.addCleanup(end)
        return process

    def receive(self, *fault):
        """A receiver, at the port that the first one was given."""
        receiver = self.start("receive", self.folder / "spent.once", self.port, *fault)
        self.port = int(receiver.stdout.readline().rsplit(":", 1)[1].strip("/\n"))
        return receiver

    def send(self, order="order-1", customer="ann", cents=1250, port=None):
        url = "http://127.0.0.1:%d/" % (port or self.port)
        return self.start("send", self.folder / "shop.once", url, order, customer, cents)

    def end(self, process, code=0):
        out, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, code, out)
        return out

    def stop(self, receiver):
        """What it has processed."""
        receiver.kill()
        return receiver.communicate(timeout=120)[0].splitlines()

    def spent(self, customer="ann"):
        return int(self.end(self.start("spent", self.folder / "spent.once", customer)))

    def test_each_order_counts_once(self):
        receiver = self.receive()
        self.assertEqual(self.end(self.send()), "order-1 is placed\neverything is delivered\n")
        self.assertEqual(self.end(self.send()),
                         "order-1 was placed before\neverything is delivered\n")
        self.end(self.send("order-2", "ann", 50))
        self.end(self.send("order-3", "bob", 7))
        # While the receiver is at work.
        self.assertEqual((self.spent(), self.spent("bob")), (1300, 7))
        self.assertEqual(self.stop(receiver), ["order-1: ann has spent 1250",
                                               "order-2: ann has spent 1300",
                                               "order-3: bob has spent 7"])

    def test_the_receiver_dies(self):
        for fault, again in (("before-commit", ""), ("after-commit", ", seen before"),
                             ("mid-answer", ", seen before")):
            with self.subTest(fault=fault):
                self.begin(fault)
                dies = self.receive(fault)
                sending = self.send()
                self.end(dies, -signal.SIGKILL)
                self.assertEqual(self.spent(), 0 if fault == "before-commit" else 1250)
                lives = self.receive()
                self.assertIn("is not delivered yet", self.end(sending))
                self.assertEqual(self.stop(lives), ["order-1: ann has spent 1250" + again])
                self.assertEqual(self.spent(), 1250)

    def test_the_receiver_dies_again_and_again(self):
        receiver = self.receive("before-commit")
        sending = self.send()
        for fault in (["mid-answer"], ["after-commit"], ["mid-answer"], []):
            self.end(receiver, -signal.SIGKILL)
            receiver = self.receive(*fault)
        self.end(sending)
        self.assertEqual(self.stop(receiver), ["order-1: ann has spent 1250, seen before"])
        self.assertEqual(self.spent(), 1250)

    def test_the_receiver_is_unavailable_or_not_there(self):
        self.stop(self.receive())
        sending = self.send()
        self.assertEqual(sending.stdout.readline(), "order-1 is placed\n")
        self.assertIn("is not delivered yet", sending.stdout.readline())
        receiver = self.receive("unavailable")
        self.assertIn("503", self.end(sending))
        self.assertEqual(self.stop(receiver), ["order-1: ann has spent 1250"])
        self.assertEqual(self.spent(), 1250)

    def test_the_sender_dies_before_it_has_heard_the_answer(self):
        receiver = self.receive()
        between = Between("http://127.0.0.1:%d/" % self.port)
        serving = threading.Thread(target=between.serve_forever, args=[0.02])
        serving.start()
        self.addCleanup(between.server_close)
        self.addCleanup(serving.join)
        self.addCleanup(between.shutdown)
        sending = self.send(port=between.server_port)
        between.kill = sending.kill
        between.go_on.set()
        self.end(sending, -signal.SIGKILL)
        # Another try to place the order delivers what is left of the first.
        self.assertIn("order-1 was placed before\n", self.end(self.send()))
        self.assertEqual(self.stop(receiver), ["order-1: ann has spent 1250",
                                               "order-1: ann has spent 1250, seen before"])
        self.assertEqual(self.spent(), 1250)

    def test_what_is_no_event_is_refused_for_good(self):
        self.receive()
        for body in (b"no JSON", b"{}", b'{"id":"1","type":"order.placed","data":{"cents":"x"}}'):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen("http://127.0.0.1:%d/" % self.port, body, timeout=120)
            with refused.exception:
                self.assertEqual(refused.exception.code, 400)


class Between(http.server.HTTPServer):
    """Hands the first delivery on, and kills the sender when it was answered."""

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = url
        self.kill = None
        self.go_on = threading.Event()

    def handle_error(self, request, client_address):
        """The client is dead, as it should be."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.go_on.wait(120)
        with urllib.request.urlopen(self.server.url, body, timeout=120):
            self.server.kill()

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    unittest.main()
