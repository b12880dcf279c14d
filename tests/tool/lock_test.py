"""once lock: one at a time, and never lost in silence."""

import json
import os
import signal
import subprocess

from common import TIMEOUT_S, TOOL, escape, main
from supervised import KILL, SupervisedTest, ended

WRITER = os.path.abspath(os.environ.get("ONCE_WRITER", "build/tests/tool/writer"))


class Lock(SupervisedTest):
    key = "n"

    def arguments(self, script, options=(), key=None):
        return [TOOL, "lock", self.store, key or self.key, *options, "--", "sh", "-c", script]

    def lock_record(self):
        return self.json_of("get", self.store, "/once.lock/n")

    def test_the_command_has_our_streams_and_its_exit_code_is_ours(self):
        run = self.arguments("cat; echo err >&2; exit 5")
        done = subprocess.run(run, input=b"in", capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (5, b"in", b"err\n"))
        self.assertEqual(self.lock_record()["status"], "released")
        self.run_script("kill -9 $$", code=128 + KILL)

    def test_runs_every_time_with_a_greater_token(self):
        tokens = [int(self.run_script("echo $ONCE_TOKEN")[0]) for _ in range(3)]
        self.assertEqual(tokens, sorted(set(tokens)))
        self.assertEqual(self.run_script("printf %s $ONCE_KEY")[0], b"/once.lock/n")

    def test_any_bytes_may_stand_in_the_name(self):
        every = bytes(range(1, 256))  # an argument has no NUL
        for name in (b"\xff", b"a/b", b"%00", b"\n", b" ", b"\xc3\x28", b"\x1b[2J", every):
            key = "/once.lock/" + escape(name)
            run = [TOOL, "lock", self.store, name, "--", "sh", "-c", "printf %s $ONCE_KEY"]
            out = self.finish(self.start(run))[0]
            self.assertEqual(out.decode(), key)
            self.assertEqual(self.json_of("get", self.store, key)["status"], "released")
        self.once("verify", self.store)

    def test_one_at_a_time(self):
        # Each fails when it finds another one at it.
        inside = self.directory / "inside"
        script = f"mkdir {inside} || exit 99; echo x >> {self.count}; rmdir {inside}"
        many = [self.start(self.arguments(script, ["--wait", "2m"])) for _ in range(20)]
        for process in many:
            self.finish(process)
        self.assertEqual(self.runs(), 20)

    def test_held(self):
        self.start(self.arguments(self.gated))
        self.up.wait()
        self.assertIn(b"is held by", self.run_script("echo", "--wait", "0s", code=75)[1])
        self.assertEqual(self.run_script("echo", "--wait", "0s", key="other")[0], b"\n")

    def test_json_is_the_last_line_of_stderr(self):
        def last(process, code):
            return json.loads(self.finish(process, code)[1].splitlines()[-1])

        said = last(self.start(self.arguments("exit 3", ["--json"])), 3)
        self.assertGreater(said.pop("token"), 0)
        self.assertEqual(said, {"key": "/once.lock/n", "status": "released", "attempt": 1,
                                "exit_code": 3})
        first = self.start(self.arguments(self.gated, ["--json", "--lease", "300ms"]))
        self.up.wait()
        busy = self.start(self.arguments("true", ["--json", "--wait", "0s"]))
        self.assertEqual(last(busy, 75), {"key": "/once.lock/n", "status": "busy", "attempt": None,
                                          "token": None, "exit_code": 75})
        self.stop_outside_the_store(first)
        self.run_script("true", "--wait", "1h")
        first.send_signal(signal.SIGCONT)
        said = last(first, 75)
        self.assertEqual(said["status"], "lost")
        self.assertGreater(said["token"], 0)

    def test_renewed(self):
        first = self.start(self.arguments(self.gated, ["--lease", "600ms"]))
        self.up.wait()
        self.run_script("echo", "--wait", "3s", code=75)
        self.go.open()
        self.finish(first)

    def test_lost(self):
        first = self.start(self.arguments(self.tree, ["--lease", "300ms"]))
        self.up.wait()
        self.stop_outside_the_store(first)
        self.run_script("echo", "--wait", "1h")
        first.send_signal(signal.SIGCONT)
        self.assertIn(b"taken over", self.finish(first, 75)[1])
        for pid in self.tree_pids():
            self.assertTrue(ended(pid, 0), pid)

    def test_killed(self):
        for _ in range(3):
            first = self.start(self.arguments(self.tree))
            self.up.wait()
            first.kill()
            self.assertEqual(self.run_script(self.no_overlap())[0], b"again\n")

    def test_guardian_killed(self):
        first = self.start(self.arguments(self.tree))
        self.up.wait()
        os.kill(self.lock_record()["holder"]["pid"], KILL)
        self.assertEqual(self.run_script(self.no_overlap())[0], b"again\n")
        self.finish(first, 128 + KILL)

    def test_signals(self):
        process = self.start(self.arguments(self.script_that_waits_for(signal.SIGTERM, code=4)))
        self.up.wait()
        process.terminate()
        self.assertEqual(self.finish(process, 4)[0], b"got SIGTERM\n")

    def test_cannot_be_started(self):
        run = [TOOL, "lock", self.store, "n", "--", "no-such-command"]
        self.assertIn(b"once: cannot run", self.finish(self.start(run), 127)[1])
        self.run_script("true", "--wait", "0s")

    def library(self, *commands, kill=False):
        """What a program that uses once::Lock answers."""
        program = subprocess.Popen([WRITER, self.store], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(program.stdout.close)
        answers = [program.stdout.readline().strip()]
        self.assertEqual(answers, ["ready"])
        for command in commands:
            program.stdin.write(command + "\n")
            program.stdin.flush()
            answers.append(program.stdout.readline().strip())
        if kill:
            program.kill()
        program.stdin.close()
        program.wait(TIMEOUT_S)
        return answers[1:]

    def test_the_library_and_the_tool_hold_the_same_locks(self):
        tokens = [int(self.library("lock 1", "unlock")[0])]
        first = self.start([TOOL, "lock", self.store, "lock-1", "--", "sh", "-c",
                            f"echo $ONCE_TOKEN; {self.gated}"])
        self.up.wait()
        busy, other = self.library("lock 1", "lock 2")
        self.assertIn("is being carried out by pid ", busy)
        self.assertTrue(other.isdigit(), other)
        self.go.open()
        tokens.append(int(self.finish(first)[0]))
        tokens.append(int(self.library("lock 1", kill=True)[0]))
        # Its holder has ended without a word, and so it is free at once.
        tokens.append(int(self.run_script("echo $ONCE_TOKEN", "--wait", "0s", key="lock-1")[0]))
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_usage(self):
        for arguments in (["n"], ["n", "--"], ["", "--", "true"], ["n" * 1025, "--", "true"],
                          ["n", "--lease", "0s", "--", "true"]):
            self.finish(self.start([TOOL, "lock", self.store, *arguments]), 64)
        self.assertFalse(self.store.exists())


if __name__ == "__main__":
    main()
