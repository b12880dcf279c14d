"""For the tests of `once run` and `once lock`: commands that tell when they are there and wait until
they may go on, and processes that are watched until they have ended. Nothing here sleeps."""

import os
import select
import shlex
import signal
import subprocess
import sys
import time

from common import TIMEOUT_S, TOOL, ToolTest, held


class Gate:
    """A FIFO. A shell passes with `read x < GATE`, and tells with `echo > GATE`."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def __str__(self):
        return str(self.path)

    def open(self):
        os.write(self.fd, b"\n")

    def wait(self):
        if not select.select([self.fd], [], [], TIMEOUT_S)[0]:
            raise TimeoutError(self.path)
        return os.read(self.fd, 1 << 16)


def ended(pid, timeout_s=TIMEOUT_S):
    """Waits until a process, anybody's, has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)


class SupervisedTest(ToolTest):
    key = "k"  # what run_script() asks for, if not told otherwise

    def setUp(self):
        super().setUp()
        self.store = self.fresh_path()
        self.up = Gate(self.directory / "up")
        self.go = Gate(self.directory / "go")
        self.count = self.directory / "count"
        self.pids = self.directory / "pids"
        self.addCleanup(os.close, self.up.fd)
        self.addCleanup(os.close, self.go.fd)
        self.counting = f"echo x >> {self.count}; "
        self.gated = self.counting + f"echo > {self.up}; read x < {self.go}; "
        # A tree of four: one that left the session, one in the background, and one below another.
        self.tree = (self.counting + f"echo $$ >> {self.pids}; "
                     f"sleep 1000 & echo $! >> {self.pids}; "
                     f"setsid sh -c 'echo $$ >> {self.pids}; echo > {self.up}; sleep 1000; :' & "
                     f"read x < {self.directory / 'never'}")
        os.mkfifo(self.directory / "never")

    def arguments(self, script, options=(), key=None):
        return [TOOL, "run", self.store, "--key", key or self.key, *options, "--", "sh", "-c", script]

    def start(self, arguments, **options):
        if not options.get("start_new_session"):
            # A group of its own, with us as a parent outside of it: where the tests run without a
            # terminal our own group is held by the command alone, and when that dies while a member
            # is stopped, the kernel hangs up the whole group (setpgid(2), orphaned groups).
            options.setdefault("process_group", 0)
        process = subprocess.Popen(
            [os.fsencode(a) for a in arguments], stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def finish(self, process, code=0):
        out, err = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, code, (out, err))
        return out, err

    def run_script(self, script, *options, code=0, key=None, **more):
        return self.finish(self.start(self.arguments(script, options, key), **more), code)

    def runs(self):
        """How often the command ran."""
        return len(self.count.read_text().split()) if self.count.exists() else 0

    def record(self, key=None):
        return self.json_of("get", self.store, key or self.key)

    def tree_pids(self):
        return [int(pid) for pid in self.pids.read_text().split()]

    def wait_until(self, true):
        """For what nobody tells us: asks again until it is so."""
        deadline = time.monotonic() + TIMEOUT_S
        while not true():
            self.assertLess(time.monotonic(), deadline)
            select.select([], [], [], 0.01)

    def openings(self):
        return self.json_of("stats", self.store)["opening"]

    def stop_outside_the_store(self, process):
        """Stops a process at a moment at which it does not hold the store for a renewal."""
        with held(self.store):
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)

    def script_that_waits_for(self, number, code=0):
        """Tells when it is there, waits for a signal, says so and exits with `code`. No shell: that
        misses a signal which comes between its looking for one and its beginning to wait."""
        return "exec %s -c %s" % (sys.executable, shlex.quote(
            "import os, signal, sys\n"
            f"signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])\n"
            f"os.write(os.open({str(self.up)!r}, os.O_WRONLY), b'x')\n"
            f"print('got', signal.sigwait([{int(number)}]).name)\n"
            f"sys.exit({code})\n"))

    # A script that fails when any process of the old tree is alive, and else says that it ran again.
    def no_overlap(self):
        return (f"for pid in $(cat {self.pids}); do "
                "grep -qs '^State:.[^ZX]' /proc/$pid/status && exit 99; done; echo again")


KILL = signal.SIGKILL
