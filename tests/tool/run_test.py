"""once run: what it promises to who retries, to who waits and to who is killed."""

import fcntl
import json
import os
import pathlib
import pty
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios

from common import HOUR, TIMEOUT_S, TOOL, answered, held, main, remove
from supervised import KILL, SupervisedTest, ended

WRITER = os.path.abspath(os.environ.get("ONCE_WRITER", "build/tests/tool/writer"))


def blocks(pid, number):
    """Whether a process blocks a signal, as `once run` does from early on."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked, 16) >> (number - 1) & 1)


class Writer:
    """A program that uses the library."""

    def __init__(self, test):
        self.process = subprocess.Popen([WRITER, test.store], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.process.communicate)
        test.assertEqual(self.process.stdout.readline(), "ready\n")

    def answer(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


# What the JSON line tells when the key was not got.
NOTHING = {"kind": None, "replayed": False, "attempt": None, "token": None, "execution_id": None,
           "created_at": None, "updated_at": None, "expires_at": None, "time_to_live": None}
DAY = 24 * HOUR


class Replay(SupervisedTest):
    def test_byte_for_byte(self):
        blob = self.directory / "blob"
        blob.write_bytes(bytes(range(256)) * 999)
        script = self.counting + f"cat {blob}; cat {blob} {blob} >&2"
        first = self.run_script(script)
        self.assertEqual(first, (blob.read_bytes(), blob.read_bytes() * 2))
        for _ in range(3):
            self.assertEqual(self.run_script(script), first)
        self.assertEqual(self.runs(), 1)
        self.assertEqual(self.once("get", self.store, "k").stdout, blob.read_bytes())

    def test_nothing_written_is_replayed_as_nothing(self):
        self.assertEqual(self.run_script(self.counting), (b"", b""))
        self.assertEqual(self.run_script(self.counting), (b"", b""))
        self.assertEqual(self.runs(), 1)

    def test_twenty_at_once(self):
        script = self.counting + "echo from $$; echo oops >&2"
        many = [self.start(self.arguments(script, ["--wait", "2m"])) for _ in range(20)]
        answers = {self.finish(process) for process in many}
        self.assertEqual(len(answers), 1)
        self.assertEqual(self.runs(), 1)

    def test_another_command_is_a_mismatch(self):
        run = [TOOL, "run", self.store, "--key", "k", "--"]
        self.assertEqual(self.finish(self.start([*run, "echo", "a b"]))[0], b"a b\n")
        for other in (["echo", "a", "b"], ["echo", "a b", ""], ["echo"], ["echo a b"]):
            self.assertIn(b"once: ", self.finish(self.start([*run, *other]), 65)[1])

    def test_without_fingerprint_any_command_gets_the_answer(self):
        self.assertEqual(self.run_script("echo one", "--no-fingerprint")[0], b"one\n")
        self.assertEqual(self.run_script("echo two", "--no-fingerprint")[0], b"one\n")

    def test_fields_are_part_of_the_question(self):
        fields = ["--field", "amount=12.50", "--field", "to=bob"]
        self.assertEqual(self.run_script("echo one", *fields)[0], b"one\n")
        turned = ["--field=to=bob", "--field=amount=12.50"]
        self.assertEqual(self.run_script("echo one", *turned)[0], b"one\n")

        def refused(script, *options):
            err = self.run_script(script, "--json", *options, code=65)[1]
            said = json.loads(err.splitlines()[-1])
            self.assertEqual(said["status"], "mismatch")
            return said.get("differing_fields"), err.decode()

        names, err = refused("echo one", "--field", "amount=13", "--field", "note=")
        self.assertEqual(names, ["amount", "note", "to"])
        for told in ("'amount' differs", "'note' was added", "'to' is missing"):
            self.assertIn(told, err)
        names, err = refused("echo two", *fields)
        self.assertEqual(names, ["the command line"])
        self.assertIn("'the command line' differs", err)
        self.assertIsNone(refused("echo one")[0])
        got = json.loads(self.once("get", self.store, "k", "--json").stdout)
        self.assertEqual(sorted(got["fields"]), ["amount", "the command line", "to"])
        self.assertNotIn("12.50", json.dumps(got["fields"]))

    def test_fields_alone(self):
        options = ["--no-fingerprint", "--field", "month=2026-11"]
        self.assertEqual(self.run_script("echo one", *options)[0], b"one\n")
        self.assertEqual(self.run_script("echo two", *options)[0], b"one\n")
        other = ["--no-fingerprint", "--field", "month=2026-12"]
        self.assertIn(b"'month' differs", self.run_script("echo one", *other, code=65)[1])

    def test_a_run_without_fields_answers_one_with_no_more_than_its_command(self):
        self.assertEqual(self.run_script("echo one")[0], b"one\n")
        got = json.loads(self.once("get", self.store, "k", "--json").stdout)
        self.assertNotIn("fields", got)
        # Another question, since there were no fields; told without names, since none are kept.
        err = self.run_script("echo one", "--field", "a=1", code=65)[1]
        self.assertIn(b"fingerprint", err)

    def test_fields_that_are_none(self):
        many = [f"--field=f{i}=1" for i in range(64)]
        for fields, saying in ((["--field", "amount"], "NAME=VALUE"), (["--field", "=1"], "name"),
                               (["--field", "a=1", "--field", "a=1"], "twice"),
                               (["--field", "x" * 256 + "=1"], "255"), (many, "64"),
                               (["--field", "the command line=1"], "another")):
            self.assertIn(saying, self.run_script("echo", *fields, code=64)[1].decode())
        self.assertFalse(self.store.exists())
        self.run_script("echo", *many[1:])

    def test_ttl(self):
        self.run_script(self.counting, "--ttl", "1ms")
        self.wait_until(lambda: self.run_script(self.counting, "--ttl", "1ms") and self.runs() > 1)

    def test_resolved_by_hand(self):
        for key, arguments, code, out, err in (
                ("yes", ["success", "--value", "-"], 0, b"rec\0eipt", b""),
                ("none", ["success"], 0, b"", b""),
                ("no", ["failure", "--message", "no money"], 1, b"", b"once: no money\n")):
            process = self.start(self.arguments(self.gated, key=key))
            self.up.wait()
            process.kill()
            process.wait()
            self.run_script(self.gated, code=70, key=key)
            self.once("resolve", self.store, key, "--as", *arguments, stdin=b"rec\0eipt")
            self.assertEqual(self.run_script(self.gated, code=code, key=key), (out, err))
        self.assertEqual(self.runs(), 3)


class ExitCode(SupervisedTest):
    def test_failure_gives_the_key_back(self):
        script = self.counting + "echo attempt $ONCE_ATTEMPT; exit 3"
        self.assertEqual(self.run_script(script, code=3)[0], b"attempt 1\n")
        self.assertEqual(self.record()["status"], "released")
        self.assertEqual(self.run_script(script, code=3)[0], b"attempt 2\n")
        self.assertEqual(self.runs(), 2)

    def test_kept_failure(self):
        script = self.counting + "echo out; echo err >&2; exit 7"
        for _ in range(3):
            got = self.run_script(script, "--keep-failures", "1h", code=7)
            self.assertEqual(got, (b"out\n", b"err\n"))
        self.assertEqual(self.runs(), 1)
        self.assertEqual(self.record()["status"], "failed")

    def test_reject(self):
        script = self.counting + "echo out"
        self.assertEqual(self.run_script(script, "--reject")[0], b"out\n")
        out, err = self.run_script(script, "--reject", code=73)
        self.assertEqual(out, b"")
        self.assertIn(b"has an outcome already", err)
        said = json.loads(self.run_script(script, "--reject", "--json", code=73)[1].splitlines()[-1])
        self.assertEqual((said["status"], said["replayed"], said["exit_code"]),
                         ("already_done", False, 73))
        self.assertEqual(self.run_script(script)[0], b"out\n")
        self.assertEqual(self.runs(), 1)

    def test_kept_failure_expires(self):
        def again():
            self.run_script(self.counting + "exit 7", "--keep-failures", "1ms", code=7)
            return self.runs() > 1
        self.wait_until(again)

    def test_killed_by_a_signal(self):
        self.run_script("kill -SEGV $$", code=128 + signal.SIGSEGV)
        self.assertEqual(self.record()["status"], "released")

    def test_kept_killing(self):
        script = self.counting + "echo out; kill -SEGV $$"
        for _ in range(2):
            got = self.run_script(script, "--keep-failures", "1h", code=128 + signal.SIGSEGV)
            self.assertEqual(got, (b"out\n", b""))
        self.assertEqual(self.runs(), 1)
        self.assertEqual(self.record()["status"], "failed")
        outcome = self.record()["outcome"]
        self.assertEqual((outcome["kind"], outcome["code"]), ("killed", "exit-139"))
        self.assertIn("killed by signal 11", outcome["message"])

    def test_cannot_be_started(self):
        file = self.directory / "file"
        file.write_text("no program")
        for command, code in (("no-such-command", 127), ("", 127), (str(file), 126),
                              (str(self.directory), 126)):
            run = [TOOL, "run", self.store, "--key", "k", "--no-fingerprint", "--", command]
            self.assertIn(b"once: cannot run", self.finish(self.start(run), code)[1])
            self.assertEqual(self.record()["status"], "released")
        self.assertEqual(self.run_script("echo ran", "--no-fingerprint")[0], b"ran\n")

    def test_usage(self):
        run = [TOOL, "run", self.store, "--key"]
        for arguments in (["k"], ["k", "--"], ["k", "true"], ["", "--", "true"],
                          ["a/b", "--", "true"], ["%zz", "--", "true"],
                          ["k", "--lease", "soon", "--", "true"], ["k", "--ttl", "0s", "--", "true"],
                          ["k", "--on-crash", "cry", "--", "true"],
                          ["t/o/k", "--tenant", "u", "--", "true"]):
            self.assertIn(b"once: ", self.finish(self.start([*run, *arguments]), 64)[1])
        self.assertFalse(self.store.exists())

    def test_not_a_store(self):
        file = self.directory / "file"
        file.write_text("dear aunt")
        run = [TOOL, "run", file, "--key", "k", "--", "touch", self.directory / "ran"]
        self.finish(self.start(run), 74)
        self.assertFalse((self.directory / "ran").exists())

    def test_json_is_the_last_line_of_stderr(self):
        for replayed in (False, True):
            out, err = self.run_script("echo out; echo err >&2", "--json")
            self.assertEqual(out, b"out\n")
            last = json.loads(err.splitlines()[-1])
            self.assertEqual(err.splitlines()[:-1], [b"err"])
            record = self.record()
            left = last.pop("time_to_live")
            self.assertTrue(0 < left <= DAY if replayed else left == DAY, left)
            self.assertEqual(last, {"key": "k", "status": "completed", "kind": "success",
                                    "replayed": replayed, "attempt": 1, "token": record["token"],
                                    "execution_id": "exec-%016x" % record["token"],
                                    "created_at": record["created_at"],
                                    "updated_at": record["updated_at"],
                                    "expires_at": record["updated_at"] + DAY, "exit_code": 0})
            self.assertLess(record["created_at"], record["expires_at"])
            self.assertEqual(record["execution_id"], last["execution_id"])

    def test_json_of_what_is_given_back_and_of_a_tombstone(self):
        last = self.last("--ttl", "1h", script="exit 3", code=3, key="failed")
        record = self.record("failed")
        self.assertEqual((last["status"], last["kind"], last["replayed"]),
                         ("released", "failure", False))
        for name in ("attempt", "token", "created_at", "updated_at", "expires_at"):
            self.assertEqual(last[name], record[name], name)
        self.assertEqual(last["time_to_live"], HOUR)
        large = f"head -c {17 << 20} /dev/zero"
        self.last(code=0, script=large, key="large")
        last = self.last(code=74, script=large, key="large")
        record = self.record("large")
        self.assertEqual((last["status"], last["kind"], last["replayed"]),
                         ("completed", "success", True))
        for name in ("attempt", "token", "created_at", "updated_at", "expires_at"):
            self.assertEqual(last[name], record[name], name)
        self.assertTrue(0 < last["time_to_live"] <= DAY)
        last = self.last("--ttl", "forever", code=0, key="forever")
        self.assertEqual(last["time_to_live"], self.record("forever")["retention"])
        self.assertEqual(self.last("--ttl", "forever", code=0, key="forever")["time_to_live"],
                         last["time_to_live"])
        self.assertEqual(self.record("forever")["time_to_live"], last["time_to_live"])

    def last(self, *options, code, script="echo x", key=None):
        """The JSON line with which a run ended."""
        err = self.run_script(script, "--json", *options, code=code, key=key)[1]
        said = json.loads(err.splitlines()[-1])
        self.assertEqual((said["key"], said["exit_code"]), (key or "k", code))
        return said

    def test_json_tells_of_every_end(self):
        self.run_script("true", key="done")
        self.assertEqual(self.last(code=65, key="done"),
                         {"key": "done", "status": "mismatch", "exit_code": 65, **NOTHING})
        first = self.start(self.arguments(self.gated))
        self.up.wait()
        self.assertEqual(self.last("--wait", "0s", script=self.gated, code=75),
                         {"key": "k", "status": "busy", "exit_code": 75, **NOTHING})
        first.kill()
        first.wait()
        self.assertEqual(self.last(script=self.gated, code=70),
                         {"key": "k", "status": "in_doubt", "exit_code": 70, **NOTHING})
        failed = self.last(script="exit 3", code=3, key="failed")
        self.assertEqual((failed["status"], failed["attempt"]), ("released", 1))
        (self.directory / "file").write_text("dear aunt")
        self.store = self.directory / "file"
        self.assertEqual(self.last(code=74),
                         {"key": "k", "status": "not_a_store", "exit_code": 74, **NOTHING})

    def test_json_tells_of_a_command_line_at_fault(self):
        run, lock = [self.store, "--key", "k"], [self.store, "n"]
        after = ["--", "true"]
        for command, key, arguments in (
                ("run", "k", [*run, "--ttl", "x", *after]),
                ("run", "k", [*run, "--lease", "0s", *after]),
                ("run", None, [self.store, "--key", "", *after]),
                ("run", None, [self.store, "--key", "a/b", *after]),
                ("run", None, [self.store, *after]),
                ("run", None, [*run, "--on-crash", "dance", *after]),
                ("run", None, run),
                ("lock", "/once.lock/n", [*lock, "--lease", "0s", *after]),
                ("lock", None, [self.store, "", *after]),
                ("lock", None, [*lock, "--no-such-option", *after])):
            for words in (["--json", command, *arguments], [command, "--json", *arguments]):
                said = self.finish(self.start([TOOL, *words]), 64)[1].splitlines()
                self.assertTrue(said[0].startswith(b"once: "), said)
                expected = {"key": key, "status": "invalid_argument", **NOTHING, "exit_code": 64}
                if command == "lock":
                    expected = {name: expected[name] for name in
                                ("key", "status", "attempt", "token", "exit_code")}
                self.assertEqual(json.loads(said[-1]), expected, words)
        # That of the command is not ours.
        said = self.finish(self.start([TOOL, "run", self.store, "--", "true", "--json"]), 64)[1]
        self.assertNotIn(b"{", said)

    def test_json_of_a_run_that_was_lost_and_of_one_that_was_interrupted(self):
        options = ["--lease", "300ms", "--on-crash", "rerun", "--no-fingerprint", "--json"]
        first = self.start(self.arguments(self.tree, options))
        self.up.wait()
        waiting = self.start(self.arguments("true", ["--wait", "1h", "--json", "--no-fingerprint"]))
        self.wait_until(lambda: blocks(waiting.pid, signal.SIGTERM))
        waiting.terminate()
        said = json.loads(self.finish(waiting, 128 + signal.SIGTERM)[1].splitlines()[-1])
        self.assertEqual((said["status"], said["token"]), ("interrupted", None))
        self.stop_outside_the_store(first)
        self.run_script("true", "--wait", "1h", *options)
        first.send_signal(signal.SIGCONT)
        said = json.loads(self.finish(first, 75)[1].splitlines()[-1])
        self.assertEqual((said["status"], said["attempt"]), ("lost", 1))
        self.assertGreater(said["token"], 0)

    def test_json_begins_a_line_of_its_own(self):
        for _ in range(2):
            err = self.run_script("printf err >&2", "--json")[1]
            self.assertEqual(err.splitlines()[0], b"err")
            self.assertEqual(json.loads(err.splitlines()[-1])["status"], "completed")


class Waiting(SupervisedTest):
    def test_busy(self):
        self.start(self.arguments(self.gated))
        self.up.wait()
        err = self.run_script(self.gated, "--wait", "0s", code=75)[1]
        self.assertIn(b"'k'", err)
        self.assertIn(b"pid %d" % self.record()["holder"]["pid"], err)
        self.assertEqual(self.runs(), 1)

    def test_gets_the_answer_as_soon_as_there_is_one(self):
        first = self.start(self.arguments(self.gated + "echo done"))
        self.up.wait()
        before = self.openings()
        waiting = self.start(self.arguments(self.gated + "echo done", ["--wait", "1h"]))
        self.wait_until(lambda: self.openings() > before)  # it has looked and found it held
        self.go.open()
        self.assertEqual(self.finish(first), self.finish(waiting))
        self.assertEqual(self.runs(), 1)

    def test_gets_the_answer_of_a_program_that_goes_on_living(self):
        writer = Writer(self)

        def tell(*commands):
            for command in commands:
                self.assertEqual(writer.answer(command), "0", command)

        tell("reserve 5", "close")
        before = self.openings()
        waiting = self.start(self.arguments(self.counting, ["--wait", "1h", "--no-fingerprint"],
                                            key="key-0000005"))
        self.wait_until(lambda: self.openings() > before)  # it has looked and found it held
        tell("open", "complete 5", "close")
        self.assertEqual(self.finish(waiting)[0], b"value-0000005")
        self.assertIsNone(writer.process.poll())
        self.assertEqual(self.runs(), 0)

    def test_takes_over_what_was_released(self):
        script = f"echo x >> {self.count}; echo > {self.up}; read x < {self.go}; exit $ONCE_ATTEMPT"
        many = [self.start(self.arguments(script, ["--wait", "1h"])) for _ in range(4)]
        for _ in many:
            self.up.wait()
            self.go.open()
        codes = sorted(process.wait(TIMEOUT_S) for process in many)
        self.assertEqual(codes, [1, 2, 3, 4])

    def test_a_signal_ends_the_waiting(self):
        self.start(self.arguments(self.gated))
        self.up.wait()
        before = self.openings()
        waiting = self.start(self.arguments(self.gated, ["--wait", "1h"]))
        self.wait_until(lambda: self.openings() > before)
        waiting.terminate()
        self.finish(waiting, 128 + signal.SIGTERM)

    def test_the_store_is_not_held(self):
        self.start(self.arguments(self.gated))
        self.up.wait()
        self.assertEqual(self.run_script("echo other", key="other")[0], b"other\n")
        self.once("sweep", self.store)

    def test_the_lease_is_renewed(self):
        first = self.start(self.arguments(self.gated + "echo done", ["--lease", "600ms"]))
        self.up.wait()
        self.run_script(self.gated, "--lease", "600ms", "--wait", "3s", "--on-crash", "rerun",
                        "--no-fingerprint", code=75)
        self.go.open()
        self.assertEqual(self.finish(first)[0], b"done\n")
        self.assertEqual(self.runs(), 1)

    def test_a_renewal_beside_the_end_changes_nothing(self):
        # Renewed every millisecond, until the outcome is written down and a little longer.
        for i in range(20):
            key = "k%d" % i
            self.assertEqual(self.run_script("echo x", "--lease", "3ms", key=key), (b"x\n", b""))
            self.assertEqual(self.record(key)["status"], "completed")
            whats = [json.loads(line)["what"] for line in
                     self.once("log", self.store, "--key", key, "--json").stdout.splitlines()]
            self.assertEqual(whats, ["reserved", "completed"])
        self.once("verify", self.store)

    def test_the_store_vanished(self):
        process = self.start(self.arguments(self.gated))
        self.up.wait()
        remove(self.store)
        self.go.open()
        err = self.finish(process, 74)[1]
        self.assertIn(b"could not be written down", err)
        self.assertNotIn(b"in doubt", err)

    def test_who_lost_the_lease_is_killed_and_does_not_count(self):
        options = ["--lease", "300ms", "--on-crash", "rerun", "--no-fingerprint"]
        first = self.start(self.arguments(self.tree, options))
        self.up.wait()
        self.stop_outside_the_store(first)  # nobody renews
        self.assertEqual(self.run_script("echo second", "--wait", "1h", *options)[0], b"second\n")
        first.send_signal(signal.SIGCONT)
        self.assertIn(b"taken over", self.finish(first, 75)[1])
        for pid in self.tree_pids():
            self.assertTrue(ended(pid, 0), pid)
        self.assertEqual(self.run_script("echo third", *options)[0], b"second\n")


class Killed(SupervisedTest):
    def kill_in_the_middle(self, *options):
        process = self.start(self.arguments(self.tree, options))
        self.up.wait()
        process.kill()
        return process

    def test_everything_dies_with_it(self):
        self.kill_in_the_middle()
        self.assertEqual(len(self.tree_pids()), 3)
        for pid in self.tree_pids():
            self.assertTrue(ended(pid), pid)

    def test_in_doubt_until_somebody_decides(self):
        self.kill_in_the_middle()
        for _ in range(2):
            err = self.run_script(self.tree, code=70)[1]
            self.assertIn(b"once resolve %s k --as " % os.fsencode(self.store), err)
        self.assertEqual(self.record()["status"], "in_doubt")
        self.once("resolve", self.store, "k", "--as", "rerun")
        self.assertEqual(self.run_script("echo again", "--no-fingerprint")[0], b"again\n")

    def test_the_advice_can_be_pasted(self):
        self.store = self.directory / "aunt's store"
        run = [TOOL, "run", self.store, "--key=-k", "--", "sh", "-c", self.tree]
        process = self.start(run)
        self.up.wait()
        process.kill()
        advice = self.finish(self.start(run), 70)[1].decode().splitlines()[-1]
        words = shlex.split(advice.replace("success|failure|rerun", "rerun"))
        self.assertEqual(words.pop(0), "once")
        self.once(*words)
        self.assertEqual(self.json_lines_of("ls", self.store, "--json")[0]["status"], "released")

    def test_get_says_that_the_owner_ended_and_what_comes(self):
        for options, words in (([], b"in doubt"), (["--on-crash", "rerun"], b"again")):
            process = self.start(self.arguments(self.tree, options, words.decode().split()[0]))
            self.up.wait()
            key = words.decode().split()[0]
            guardian = self.record(key)["holder"]["pid"]
            self.assertIn(b"ask again later", self.once("get", self.store, key, code=1).stderr)
            process.kill()
            self.assertTrue(ended(guardian))
            said = self.once("get", self.store, key, code=1).stderr
            self.assertIn(b"has ended", said)
            self.assertIn(words, said)

    def test_while_the_front_cleans_up_the_owner_counts_as_alive(self):
        process = self.start(self.arguments(self.tree))
        self.up.wait()
        guardian = self.record()["holder"]["pid"]
        self.stop_outside_the_store(process)  # it cannot clean up yet
        os.kill(guardian, KILL)
        self.assertTrue(ended(guardian))
        self.once("resolve", self.store, "k", "--as", "rerun", code=75)
        self.once("rm", self.store, "k", code=75)
        self.assertIn(b"ask again later", self.once("get", self.store, "k", code=1).stderr)
        process.send_signal(signal.SIGCONT)
        self.finish(process, 70)
        self.once("resolve", self.store, "k", "--as", "rerun")

    def test_a_program_does_not_take_over_while_the_front_cleans_up(self):
        self.key = "key-0000005"
        process = self.start(self.arguments(self.tree, ["--on-crash", "rerun"]))
        self.up.wait()
        guardian = self.record()["holder"]["pid"]
        self.stop_outside_the_store(process)  # it cannot clean up yet
        os.kill(guardian, KILL)
        self.assertTrue(ended(guardian))
        writer = Writer(self)
        self.assertIn("is being carried out", writer.answer("reserve 5"))
        self.assertEqual(writer.answer("close"), "0")
        process.send_signal(signal.SIGCONT)
        self.finish(process, 128 + KILL)
        self.assertEqual(writer.answer("open"), "0")
        self.assertEqual(writer.answer("reserve 5"), "0")

    def test_runs_again_at_once_but_never_beside_the_old_one(self):
        options = ["--on-crash", "rerun", "--no-fingerprint"]
        for _ in range(5):
            self.kill_in_the_middle(*options)
            # Well before the lease of five minutes.
            out = self.run_script(self.no_overlap() + "; exit 3", *options, code=3)[0]
            self.assertEqual(out, b"again\n")

    def test_who_waits_takes_over(self):
        options = ["--on-crash", "rerun", "--no-fingerprint"]
        process = self.start(self.arguments(self.tree, options))
        self.up.wait()
        before = self.openings()
        waiting = self.start(self.arguments(self.no_overlap(), ["--wait", "1h", *options]))
        self.wait_until(lambda: self.openings() > before)
        process.kill()
        self.assertEqual(self.finish(waiting)[0], b"again\n")

    def test_guardian_killed(self):
        process = self.start(self.arguments(self.tree))
        self.up.wait()
        os.kill(self.record()["holder"]["pid"], KILL)
        self.assertIn(b"once resolve", self.finish(process, 70)[1])
        for pid in self.tree_pids():
            self.assertTrue(ended(pid, 0), pid)
        self.run_script(self.tree, code=70)

    def test_guardian_killed_and_run_again(self):
        options = ["--on-crash", "rerun", "--no-fingerprint"]
        for _ in range(5):
            process = self.start(self.arguments(self.tree, options))
            self.up.wait()
            guardian = self.record()["holder"]["pid"]
            before = self.openings()
            waiting = self.start(
                self.arguments(self.no_overlap() + "; exit 3", ["--wait", "1h", *options]))
            self.wait_until(lambda: self.openings() > before)
            os.kill(guardian, KILL)
            self.assertEqual(self.finish(waiting, 3)[0], b"again\n")
            self.finish(process, 128 + KILL)

    def test_between_the_end_of_the_command_and_writing_it_down(self):
        script = f"echo $$ > {self.pids}; " + self.gated
        process = self.start(self.arguments(script))
        self.up.wait()
        pid = self.tree_pids()[0]
        with held(self.store):
            self.go.open()
            self.assertTrue(ended(pid))
            process.kill()
            process.wait()
        self.run_script(script, code=70)
        self.assertEqual(self.runs(), 1)

    def test_a_group_killed_as_a_whole(self):
        process = self.start(self.arguments(self.tree), start_new_session=True)
        self.up.wait()
        os.killpg(process.pid, KILL)
        for pid in self.tree_pids():
            self.assertTrue(ended(pid), pid)
        self.run_script(self.tree, code=70)


class Refresh(SupervisedTest):
    """Any command may stand for the key, so that the old and the new one can be told apart."""

    def setUp(self):
        super().setUp()
        self.assertEqual(self.ask("echo old"), b"old\n")

    def ask(self, script, *options, code=0):
        return self.run_script(script, "--no-fingerprint", *options, code=code)[0]

    def refreshing(self, script, *options):
        return self.start(self.arguments(script, ["--no-fingerprint", "--refresh", *options]))

    def assert_old(self):
        self.assertEqual(self.ask(self.counting), b"old\n")

    def test_runs_again_and_replaces_the_outcome(self):
        before = self.record()
        out, err = self.run_script("echo new $ONCE_ATTEMPT $ONCE_TOKEN", "--no-fingerprint",
                                   "--refresh", "--ttl", "2h", "--json")
        said = json.loads(err)
        record = self.record()
        words = out.decode().split()
        self.assertEqual(words[:2], ["new", "2"])
        self.assertLess(before["token"], int(words[2]))
        self.assertLess(int(words[2]), record["token"])
        self.assertEqual(self.ask("echo other"), out)
        self.assertEqual((said["status"], said["kind"], said["replayed"], said["time_to_live"]),
                         ("completed", "success", False, 2 * HOUR))
        for name in ("attempt", "token", "created_at", "updated_at", "expires_at", "execution_id"):
            self.assertEqual(said[name], record[name], name)
        self.assertEqual(record["created_at"], before["created_at"])
        self.assertEqual(self.once("ls", self.store).stdout, b"k\n")
        self.once("verify", self.store)

    def test_of_what_has_no_outcome_it_is_an_ordinary_run(self):
        self.key = "other"
        self.assertEqual(self.ask("echo $ONCE_ATTEMPT", "--refresh"), b"1\n")
        self.ask("exit 3", "--refresh", code=3)
        self.assertEqual(self.ask("echo two"), b"1\n")
        self.key = "third"
        self.ask("exit 3", "--refresh", code=3)
        self.assertEqual(self.record()["status"], "released")

    def test_another_question_is_refused(self):
        self.key = "asked"
        self.run_script("echo one")
        self.run_script(self.counting, "--refresh", code=65)
        err = self.run_script("echo one", "--refresh", "--reject", code=64)[1]
        self.assertIn(b"exclude each other", err)
        self.assertEqual(self.runs(), 0)

    def test_others_are_given_the_outcome_meanwhile(self):
        process = self.refreshing(self.gated + "echo new")
        self.up.wait()
        self.assertEqual(self.ask("echo other"), b"old\n")
        self.go.open()
        self.assertEqual(self.finish(process)[0], b"new\n")
        self.assertEqual(self.ask("echo other"), b"new\n")

    def test_what_fails_leaves_the_outcome(self):
        self.ask("echo bad; exit 3", "--refresh", "--keep-failures", "1h", code=3)
        self.assert_old()
        arguments = ["run", self.store, "--key", "k", "--no-fingerprint", "--refresh", "--", "none"]
        self.assertIn(b"cannot run", self.once(*arguments, code=127).stderr)
        self.assert_old()
        self.ask(f"read x < {self.directory / 'never'}", "--refresh", "--timeout", "1ms", code=124)
        self.assert_old()
        err = self.run_script(f"head -c {17 << 20} /dev/zero", "--no-fingerprint", "--refresh",
                              "--json", code=74)[1]
        self.assertIn(b"keeps the outcome that it had", err)
        self.assertEqual(json.loads(err.splitlines()[-1])["status"], "limit_exceeded")
        self.assert_old()
        self.assertEqual(self.runs(), 0)

    def test_whoever_is_killed_leaves_the_outcome_and_nobody_waits_for_him(self):
        process = self.refreshing(self.tree)
        self.up.wait()
        process.kill()
        self.assertEqual(self.ask("echo other"), b"old\n")
        self.assertEqual(self.ask(self.no_overlap(), "--refresh"), b"again\n")

    def test_the_guardian_is_killed(self):
        process = self.refreshing(self.tree)
        self.up.wait()
        turn = self.record("/once.refresh/k")
        os.kill(turn["holder"]["pid"], KILL)
        self.assertIn(b"keeps the outcome that it had", self.finish(process, 128 + KILL)[1])
        for pid in self.tree_pids():
            self.assertTrue(ended(pid, 0), pid)
        self.assertEqual(self.ask("echo other"), b"old\n")

    def test_takes_turns(self):
        script = self.gated + "echo $ONCE_ATTEMPT"
        first = self.refreshing(script)
        self.up.wait()
        self.assertIn(b"/once.refresh/k", self.run_script(
            script, "--no-fingerprint", "--refresh", "--wait", "0s", code=75)[1])
        before = self.openings()
        second = self.refreshing(script, "--wait", "1h")
        self.wait_until(lambda: self.openings() >= before + 2)  # looked at the key and at the turn
        self.go.open()
        self.assertEqual(self.finish(first)[0], b"2\n")
        self.up.wait()
        self.assertEqual(self.ask("echo other"), b"2\n")
        self.go.open()
        self.assertEqual(self.finish(second)[0], b"3\n")
        self.assertEqual(self.ask("echo other"), b"3\n")

    def test_what_others_have_put_in_its_place_counts(self):
        process = self.refreshing(self.gated + "echo new")
        self.up.wait()
        self.once("rm", self.store, "k")
        self.assertEqual(self.ask("echo theirs"), b"theirs\n")
        self.go.open()
        self.assertIn(b"what they find out is what counts", self.finish(process, 75)[1])
        self.assertEqual(self.ask("echo other"), b"theirs\n")

    def test_what_was_removed_meanwhile_is_there_again(self):
        process = self.refreshing(self.gated + "echo new")
        self.up.wait()
        self.once("rm", self.store, "k")
        self.go.open()
        self.finish(process)
        self.assertEqual(self.ask("echo other"), b"new\n")

    def test_who_lost_the_turn_replaces_nothing(self):
        options = ["--lease", "300ms"]
        process = self.refreshing(self.tree, *options)
        self.up.wait()
        self.stop_outside_the_store(process)  # nobody renews
        self.assertEqual(self.ask("echo second", "--refresh", "--wait", "1h", *options),
                         b"second\n")
        process.send_signal(signal.SIGCONT)
        self.assertIn(b"taken over", self.finish(process, 75)[1])
        self.assertEqual(self.ask("echo other"), b"second\n")

    def test_a_turn_that_was_given_an_outcome_is_told_of(self):
        self.store = self.make_store(answered("k", b"old"), answered("/once.refresh/k", counter=2))
        err = self.run_script("echo new", "--no-fingerprint", "--refresh", code=74)[1]
        words = shlex.split(err.decode().partition("once rm ")[2])
        self.once("rm", *words)
        self.assertEqual(self.ask("echo new", "--refresh"), b"new\n")

    def test_the_longest_key(self):
        self.key = "%FF" * 1024
        self.ask("echo old")
        self.ask("echo new", "--refresh")
        self.assertEqual(self.ask("echo other"), b"new\n")


class TimeLimit(SupervisedTest):
    def timed_out(self, script, *options, key=None, kill_after="1h"):
        """Runs a script that tells when it is there and does not end, with ever more time, until
        it had come that far. What it wrote."""
        time_ms = 250
        while True:
            got = self.run_script(script, "--timeout", f"{time_ms}ms", "--kill-after", kill_after,
                                  *options, key=key, code=124)
            if select.select([self.up.fd], [], [], 0)[0]:
                self.up.wait()
                return got
            self.pids.unlink(missing_ok=True)
            if self.json_of("get", self.store, key or self.key)["status"] != "released":
                self.once("rm", self.store, key or self.key)
            time_ms *= 4

    def assert_all_ended(self, count):
        self.assertEqual(len(self.tree_pids()), count)
        for pid in self.tree_pids():
            self.assertTrue(ended(pid, 0), pid)

    def test_ends_a_command_and_all_that_it_started(self):
        err = self.timed_out(self.tree)[1]
        self.assertRegex(err, rb"once: the command took longer than \d+ ms, and was ended\n$")
        self.assert_all_ended(3)
        self.assertEqual(self.record()["status"], "released")
        self.assertEqual(self.run_script("echo again", "--no-fingerprint")[0], b"again\n")

    def test_lets_it_tidy_up_and_still_has_failed(self):
        out = self.timed_out(f"trap 'echo tidied; exit 0' TERM; echo > {self.up}; sleep 1000; :")[0]
        self.assertEqual(out, b"tidied\n")
        self.assertEqual(self.timed_out(self.script_that_waits_for(signal.SIGTERM))[0],
                         b"got SIGTERM\n")
        self.assertEqual(self.record()["status"], "released")

    def test_kills_what_does_not_end(self):
        self.timed_out("trap '' TERM; " + self.tree, kill_after="100ms")
        self.assert_all_ended(3)

    def test_does_not_wait_for_what_is_left_when_the_command_has_ended(self):
        self.timed_out(f"(trap '' TERM; echo > {self.up}; sleep 1000) & echo $! >> {self.pids}; "
                       f"read x < {self.directory / 'never'}")
        self.assert_all_ended(1)

    def test_is_an_outcome_of_its_own_that_can_be_kept(self):
        script = self.counting + f"echo out; echo > {self.up}; read x < {self.directory / 'never'}"
        options = ["--keep-failures", "1h"]
        first = self.timed_out(script, *options, "--json")
        runs = self.runs()
        said = json.loads(first[1].splitlines()[-1])
        self.assertEqual((said["status"], said["kind"], said["exit_code"]),
                         ("failed", "timeout", 124))
        out, err = self.run_script(script, *options, "--json", code=124)
        self.assertEqual(out, b"out\n")
        said = json.loads(err)
        self.assertEqual((said["status"], said["kind"], said["replayed"]),
                         ("failed", "timeout", True))
        self.assertEqual(self.runs(), runs)
        outcome = self.record()["outcome"]
        self.assertEqual((outcome["kind"], outcome["code"]), ("timeout", "exit-124"))
        self.assertIn(b"kept as a timeout", self.once("get", self.store, "k").stderr)

    def test_who_ends_in_time_is_left_alone(self):
        for longest in ("1h", "forever"):
            script = f"sleep 1000 & echo $! > {self.pids}; echo done"
            self.assertEqual(self.run_script(script, "--timeout", longest, key=longest)[0],
                             b"done\n")
            pid = self.tree_pids()[0]
            self.assertFalse(ended(pid, 0))
            os.kill(pid, KILL)
        err = self.run_script("true", "--timeout", "0s", code=64)[1]
        self.assertIn(b"--timeout: 0s is too short", err)


class Signals(SupervisedTest):
    def test_passed_on_and_recorded(self):
        for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2"):
            number = getattr(signal, "SIG" + name)
            process = self.start(self.arguments(self.script_that_waits_for(number), key=name))
            self.up.wait()
            process.send_signal(number)
            self.assertEqual(self.finish(process)[0], b"got SIG%s\n" % name.encode())
            self.assertEqual(self.record(name)["status"], "completed")

    def test_a_command_that_dies_of_it(self):
        process = self.start(self.arguments(f"echo > {self.up}; exec sleep 1000"))
        self.up.wait()
        process.terminate()
        self.finish(process, 128 + signal.SIGTERM)
        self.assertEqual(self.record()["status"], "released")

    def test_the_command_starts_with_the_signals_we_were_started_with(self):
        script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
        expected = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
        self.assertEqual(self.run_script(script)[0], expected)

    def test_a_key_of_the_terminal_reaches_the_command_once(self):
        counter = self.directory / "counter.py"
        counter.write_text(
            "import os, signal\n"
            f"up = os.open('{self.up}', os.O_WRONLY)\n"
            "seen = []\n"
            "def interrupted(*_):\n"
            "    seen.append(1)\n"
            "    os.write(up, b'x')\n"
            "def asked(*_):\n"
            "    print('seen', len(seen), flush=True)\n"
            "    os._exit(0)\n"
            "signal.signal(signal.SIGINT, interrupted)\n"
            "signal.signal(signal.SIGUSR1, asked)\n"
            "os.write(up, b'x')\n"
            "while True: signal.pause()\n")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(TOOL, [TOOL, "run", str(self.store), "--key", "k", "--", sys.executable,
                            str(counter)])
        self.up.wait()
        # While the front stands still, the key can only reach the command by itself; what the front
        # makes of it comes later, and is counted apart.
        os.kill(pid, signal.SIGSTOP)
        os.write(terminal, b"\x03")
        self.up.wait()
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGUSR1)  # after SIGINT in every queue on the way
        got = b""
        while b"seen 1\r\n" not in got and b"seen 2\r\n" not in got:
            got += os.read(terminal, 100)
        self.assertIn(b"seen 1", got)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(terminal)


def in_pipe(fd):
    """How many bytes wait there to be read."""
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]


class Streams(SupervisedTest):
    def test_live(self):
        process = self.start(self.arguments(f"echo early; read x < {self.go}; echo late"))
        self.assertEqual(process.stdout.readline(), b"early\n")
        self.assertIsNone(process.poll())
        self.go.open()
        self.assertEqual(self.finish(process)[0], b"late\n")
        self.assertEqual(self.run_script(f"echo early; read x < {self.go}; echo late")[0],
                         b"early\nlate\n")

    def test_stdin_is_the_commands(self):
        run = [TOOL, "run", self.store, "--key", "k", "--", "cat"]
        done = subprocess.run(run, input=b"to the command", capture_output=True, check=True)
        self.assertEqual(done.stdout, b"to the command")

    def test_a_slow_reader_gets_everything(self):
        process = self.start(self.arguments(f"echo > {self.up}; head -c 3000000 /dev/zero"))
        self.up.wait()
        self.assertEqual(self.record()["status"], "in_progress")  # more than fits into the pipes
        self.assertEqual(len(self.finish(process)[0]), 3000000)

    def test_a_stream_that_does_not_block_gets_everything(self):
        size = 500000  # more than fits into a pipe
        command = ["run", self.store, "--key", "k", "--", "sh", "-c", f"head -c {size} /dev/zero"]
        for arguments in (command, command, ["get", self.store, "k"], ["dump", self.store]):
            reading, writing = os.pipe()
            os.set_blocking(writing, False)
            full = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
            process = self.start([TOOL, *arguments], stdout=writing)
            os.close(writing)
            self.wait_until(lambda: in_pipe(reading) >= full or process.poll() is not None)
            with open(reading, "rb") as pipe:
                self.assertGreaterEqual(len(pipe.read()), size, arguments[0])
            self.finish(process)

    def test_a_reader_that_goes_away_does_not_stop_the_command(self):
        reading, writing = os.pipe()
        script = f"echo > {self.up}; read x < {self.go}; echo one && echo two && echo ok >&2"
        process = self.start(self.arguments(script), stdout=writing)
        os.close(writing)
        self.up.wait()
        os.close(reading)
        self.go.open()
        self.assertEqual(self.finish(process)[1], b"ok\n")
        self.assertEqual(self.run_script(script), (b"one\ntwo\n", b"ok\n"))

    def test_started_with_stdout_closed(self):
        run = self.arguments("echo out; echo err >&2")
        process = self.start(["sh", "-c", 'exec "$@" >&-', "sh", *run])
        self.assertIn(b"err\n", self.finish(process, 74)[1])
        self.assertEqual(self.run_script("echo out; echo err >&2"), (b"out\n", b"err\n"))

    def test_output_that_cannot_be_written(self):
        for key, script, options, code in (("a", "echo out", [], 0),
                                           ("b", "echo out; exit 3", ["--keep-failures", "1h"], 3)):
            arguments = self.arguments(self.counting + script, options, key)
            for _ in range(2):  # the first time, and when it is replayed
                with open("/dev/full", "wb") as full:
                    err = self.finish(self.start(arguments, stdout=full), 74)[1]
                self.assertIn(b"stdout could not be written: No space left on device", err)
                self.assertIn(b"is printed by the same command again", err)
            self.assertEqual(self.finish(self.start(arguments), code)[0], b"out\n")
        self.assertEqual(self.runs(), 2)
        with open("/dev/full", "wb") as full:  # nothing is kept
            self.finish(self.start(self.arguments("echo out; exit 3", key="c"), stdout=full), 3)

    def test_what_is_left_in_the_background_is_not_waited_for(self):
        script = f"sleep 1000 & echo $! > {self.pids}; echo done"
        self.assertEqual(self.run_script(script)[0], b"done\n")
        pid = self.tree_pids()[0]
        self.assertFalse(ended(pid, 0))  # it was left on purpose
        os.kill(pid, KILL)

    def test_too_much_to_keep(self):
        size = 17 << 20
        script = self.counting + f"head -c {size} /dev/zero"
        out, err = self.run_script(script)
        self.assertEqual(len(out), size)
        self.assertIn(b"once: ", err)
        out, err = self.run_script(script, code=74)
        self.assertEqual(out, b"")
        self.assertIn(b"too large to keep", err)
        done = self.once("get", self.store, "k", code=1)
        self.assertIn(b"too large to keep", done.stderr)
        self.assertEqual(self.runs(), 1)

    def test_a_kept_failure_with_too_much_to_keep_fails_again(self):
        for key, ending, code in (("a", "exit 3", 3), ("b", "kill -9 $$", 128 + signal.SIGKILL)):
            self.key, before = key, self.runs()
            script = self.counting + f"head -c {17 << 20} /dev/zero; {ending}"
            options = ["--json", "--keep-failures", "1h"]
            first = json.loads(self.run_script(script, *options, code=code)[1].splitlines()[-1])
            out, err = self.run_script(script, *options, code=code)
            self.assertEqual(out, b"")
            *words, again = err.splitlines()
            again = json.loads(again)
            self.assertLessEqual(again.pop("time_to_live"), first.pop("time_to_live"))
            self.assertEqual(again, {**first, "replayed": True})
            self.assertEqual(first["status"], "failed")
            self.assertEqual(len(words), 1, words)
            self.assertIn(b"too large to keep", words[0])
            self.assertEqual(self.runs(), before + 1)
            said = self.run_script(script, "--reject", code=73)[1]
            self.assertNotIn(b"once get", said)  # which could not print it
            done = self.once("get", self.store, key, code=1)
            for part in (b"failure" if code == 3 else b"killed", b"exit-%d" % code,
                         b"too large to keep"):
                self.assertIn(part, done.stderr)

    def test_arguments_arrive_byte_for_byte(self):
        arguments = ["[a,b]", "", "--json", "%%", "{}", b"\xff\n", "--", "-h"]
        run = [TOOL, "run", self.store, "--key", "k", "--", "printf", "<%s>", *arguments]
        expected = b"".join(b"<" + os.fsencode(a) + b">" for a in arguments)
        self.assertEqual(self.finish(self.start(run))[0], expected)


class Keys(SupervisedTest):
    def test_environment(self):
        out = self.run_script("echo $ONCE_KEY $ONCE_ATTEMPT $ONCE_TOKEN", key="t/%20o/i%2Fd")[0]
        key, attempt, token = out.decode().split()
        self.assertEqual((key, attempt), ("t/%20o/i%2Fd", "1"))
        self.assertEqual(int(token), self.record(key)["token"])

    def test_any_bytes(self):
        for key in ("%00", "%FF%00", "a%2Fb", "%0A", "%00/%FF/%25"):
            self.assertEqual(self.run_script("printf %s $ONCE_KEY", key=key)[0].decode(), key)
            self.assertEqual(self.record(key)["key"], key)

    def test_parts(self):
        run = [TOOL, "run", self.store, "--tenant", b"a/\xff", "--operation", "%o", "--key", "i%2Fd"]
        out = self.finish(self.start([*run, "--", "sh", "-c", "printf %s $ONCE_KEY"]))[0]
        self.assertEqual(out, b"a%2F%FF/%25o/i%2Fd")


if __name__ == "__main__":
    main()
