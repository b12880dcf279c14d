"""Kills the caller in the middle of its call, and counts what the service has charged."""

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

from payment_service import Service

PROGRAM = os.path.abspath(sys.argv.pop())
TOOL = os.environ.get("ONCE_TOOL")


class InDoubt(unittest.TestCase):
    def setUp(self):
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        folder = tempfile.TemporaryDirectory(prefix="once-example.", dir=place)
        self.addCleanup(folder.cleanup)
        self.store = pathlib.Path(folder.name, "pay.once")
        self.service = self.serve()

    def serve(self, **hooks):
        service = Service(**hooks)
        serving = threading.Thread(target=service.serve_forever, args=[0.02])
        serving.start()
        self.addCleanup(service.server_close)
        self.addCleanup(serving.join)
        self.addCleanup(service.shutdown)
        return service

    def start(self, *arguments, url=None):
        return subprocess.Popen([PROGRAM, self.store, url or self.service.url, *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def call(self, *arguments, code=0, url=None):
        calling = self.start(*arguments, url=url)
        out, err = calling.communicate(timeout=120)
        self.assertEqual(calling.returncode, code, (arguments, out, err))
        return out + err

    def tool(self, *arguments, stdin=""):
        if not TOOL:
            self.skipTest("built without the tool")
        return subprocess.run([TOOL, *arguments], input=stdin, stdout=subprocess.PIPE, text=True,
                              timeout=120, check=True).stdout

    def test_a_call_that_nothing_happens_to(self):
        self.assertEqual(self.call("order-1", "1250"), "charged: receipt-1 for order-1 1250\n")
        self.assertEqual(self.call("order-1", "1250"),
                         "charged before: receipt-1 for order-1 1250\n")
        self.assertEqual(self.service.charged, ["order-1 1250"])

    def test_killed_after_it_has_happened(self):
        self.call("order-1", "1250", "answered", code=-signal.SIGKILL)
        self.assertEqual(self.service.charged, ["order-1 1250"])
        self.assertEqual(self.call("order-1", "1250"),
                         "in doubt: the service says that it has charged\n"
                         "charged before: receipt-1 for order-1 1250\n")
        # From now on the store knows, and the service is not even asked.
        self.assertEqual(self.call("order-1", "1250", url="http://127.0.0.1:1"),
                         "charged before: receipt-1 for order-1 1250\n")
        self.assertEqual(self.service.charged, ["order-1 1250"])

    def test_killed_before_it_has_happened(self):
        self.call("order-2", "500", "asking", code=-signal.SIGKILL)
        self.assertEqual(self.service.charged, [])
        self.assertEqual(self.call("order-2", "500"),
                         "in doubt: the service has not charged, and will not\n"
                         "charged: receipt-1 for order-2 500\n")
        self.assertEqual(self.call("order-2", "500"), "charged before: receipt-1 for order-2 500\n")
        self.assertEqual(self.service.charged, ["order-2 500"])

    def test_killed_again_and_again(self):
        for _ in range(3):
            self.call("order-2", "500", "asking", code=-signal.SIGKILL)
        self.call("order-2", "500", "answered", code=-signal.SIGKILL)
        self.assertIn("charged before: receipt-1", self.call("order-2", "500"))
        self.assertEqual(self.service.charged, ["order-2 500"])

    def test_a_request_that_comes_after_its_caller_was_given_up(self):
        heard, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hold_the_first():
            if not heard.is_set():
                heard.set()
                go_on.wait(120)

        answered = threading.Event()
        self.service = self.serve(before_charging=hold_the_first, before_answering=answered.set)
        calling = self.start("order-3", "700")
        self.assertTrue(heard.wait(120))
        calling.kill()
        calling.communicate(timeout=120)
        self.assertIn("charged: receipt-1", self.call("order-3", "700"))
        answered.clear()
        go_on.set()
        self.assertTrue(answered.wait(120))
        self.assertEqual(self.service.charged, ["order-3 700"])

    def test_in_doubt_until_somebody_can_tell(self):
        self.call("order-1", "1250", "answered", code=-signal.SIGKILL)
        nowhere = "http://127.0.0.1:1"
        for _ in range(2):
            self.assertIn("in_doubt: ", self.call("order-1", "1250", code=1, url=nowhere))
        self.assertIn("charged before: receipt-1", self.call("order-1", "1250"))
        self.assertEqual(self.service.charged, ["order-1 1250"])

    def test_a_person_decides_with_the_tool(self):
        key = "shop/charge/order-1"
        self.call("order-1", "1250", "answered", code=-signal.SIGKILL)
        self.call("order-1", "1250", code=1, url="http://127.0.0.1:1")
        self.assertEqual(self.tool("ls", self.store, "--status", "in-doubt"), key + "\n")
        self.tool("resolve", self.store, key, "--as", "success", "--value", "-", stdin="by letter")
        self.assertEqual(self.call("order-1", "1250"), "charged before: by letter\n")
        self.assertEqual(self.service.charged, ["order-1 1250"])

    def test_a_closed_call_is_refused_by_the_service(self):
        def ask(method, path, data=None):
            request = urllib.request.Request(self.service.url + path, data, {"Once-Token": "7"},
                                             method=method)
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status

        self.assertEqual(ask("DELETE", "/calls/7"), 204)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            ask("POST", "/charges", b"order-1 1250")
        with refused.exception:
            self.assertEqual(refused.exception.code, 410)
        self.assertEqual(self.service.charged, [])


if __name__ == "__main__":
    unittest.main()
