"""The bar on a terminal: it is there when something takes over a second, whatever it waits for, and
gone when that is done. Here it always waits for us, so that nothing depends on how fast a machine
is; only where somebody else holds the store does it give up, after five seconds."""

import contextlib
import os
import pty
import select
import subprocess

from common import (LAYOUTS, TIMEOUT_S, TOOL, answered, end_row, event_row, held, history_row,
                    key_row, lines, main, store_row)
from supervised import SupervisedTest

CLEAR = b"\r\x1b[K"


class Progress(SupervisedTest):
    @contextlib.contextmanager
    def watched(self, *arguments, whole=False):
        """The tool with a terminal for its messages, and with `whole` for all that it prints."""
        self.terminal, slave = pty.openpty()
        self.seen = b""
        process = subprocess.Popen([TOOL, *map(str, arguments)],
                                   stdin=slave if whole else subprocess.DEVNULL,
                                   stdout=slave if whole else subprocess.PIPE, stderr=slave,
                                   env={**os.environ, "TERM": "xterm"})
        os.close(slave)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            if not whole:
                process.stdout.close()
            process.wait()
            os.close(self.terminal)

    @contextlib.contextmanager
    def slow(self, store, for_good=False):
        """A store in a directory that nobody gets to open before the end of this; `for_good`: it
        is left as it is then, and can be opened no second time."""
        # Whoever opens the marker waits until we open its other end.
        marker, aside = store / "ONCE", self.directory / "marker"
        text = marker.read_bytes()
        marker.rename(aside)
        os.mkfifo(marker)
        yield
        with open(marker, "wb") as writer:
            if not for_good:
                aside.rename(marker)
            writer.write(text)

    def read_terminal(self):
        """What came next; empty at the end."""
        self.assertTrue(select.select([self.terminal], [], [], TIMEOUT_S)[0], self.seen)
        try:
            more = os.read(self.terminal, 65536)
        except OSError:  # the other side has closed
            more = b""
        self.seen += more
        return more

    def await_bar(self, doing, times=3):
        """Until it was drawn, and drawn again: it lives."""
        while self.seen.count(CLEAR + doing) < times:
            self.assertTrue(self.read_terminal(), self.seen)

    def await_end(self, process, code=0, told=b""):
        """Waits for the end, and for the bar to be gone, with `told` in its place. What was
        printed."""
        out = process.stdout.read() if process.stdout else b""
        while self.read_terminal():
            pass
        self.assertEqual(process.wait(TIMEOUT_S), code, self.seen)
        self.assertEqual(self.seen.rpartition(CLEAR)[2], told)
        return out

    def test_while_nothing_comes_in(self):
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        rows = [store_row(), key_row("a", "in_doubt")]
        with self.watched("load", self.directory / "fresh", "--from", fifo) as process:
            with open(fifo, "wb") as writer:
                writer.write(lines(rows))
                writer.flush()
                self.await_bar(b"loading ")
                writer.write(lines([end_row(len(rows))]))
            self.assertIn(b"loaded 2 rows", self.await_end(process))

    def test_while_nobody_takes_what_is_printed(self):
        # More than fits into a pipe and a buffer.
        keys = ["%04d-" % i + 100 * "x" for i in range(2000)]
        store = self.make_store(*[key_row(key, "in_doubt", i) for i, key in enumerate(keys, 1)],
                                *[history_row(i, key, "in_doubt", "in_doubt")
                                  for i, key in enumerate(keys, 1)],
                                *[event_row(i + 5000, type=key) for i, key in enumerate(keys)])
        for doing, *arguments in ([b"listing ", "ls", store],
                                  [b"listing ", "ls", store, "--status", "in-doubt", "--json"],
                                  [b"listing ", "events", store],
                                  [b"reading the history ", "log", store],
                                  [b"dumping ", "dump", store, "--table", "keys"]):
            with self.subTest(arguments), self.watched(*arguments) as process:
                self.await_bar(doing)
                out = self.await_end(process)
                for key in (keys[0], keys[-1]):
                    self.assertIn(key.encode(), out)

    def test_while_somebody_else_writes(self):
        rows = [key_row("a", "in_doubt"), event_row(5, "dead"), event_row(6)]
        for doing, layouts, command, *arguments in (
                (b"sweeping ", LAYOUTS, "sweep"), (b"compacting ", LAYOUTS, "compact"),
                (b"removing ", ["file"], "rm", "a"),
                (b"resolving ", ["file"], "resolve", "a", "--as", "rerun"),
                (b"retrying ", ["file"], "outbox retry", "event-5"),
                (b"dropping ", ["file"], "outbox drop", "event-5"),
                (b"delivering ", ["file"], "outbox relay", "--once", "--skip-dead", "--to",
                 self.directory / "events"),
                (b"waiting for key 'b' ", ["file"], "run", "--key", "b", "--wait", "forever", "--",
                 "true"),
                (b"waiting for key '/once.lock/b' ", ["file"], "lock", "b", "--", "true")):
            for layout in layouts:
                store = self.make_store(*rows, layout=layout)
                # Held before the tool starts: it could be done before we come to holding.
                with self.subTest((command, layout)), contextlib.ExitStack() as holding:
                    holding.enter_context(held(store))
                    with self.watched(*command.split(), store, *arguments) as process:
                        self.await_bar(doing, times=1)
                        holding.close()
                        self.await_end(process)

    def test_while_a_file_of_the_store_is_slow(self):
        rows = [answered("a"), event_row(5)]
        for doing, command, *arguments in (
                (b"counting ", "stats"), (b"verifying ", "verify"),
                (b"copying ", "backup", self.directory / "copy"), (b"dumping ", "dump"),
                (b"looking up ", "get", "a"), (b"listing ", "ls"), (b"listing ", "events"),
                (b"listing ", "outbox ls"), (b"listing ", "workflow ls"),
                (b"listing ", "transaction ls"), (b"reading the history ", "log"),
                (b"counting ", "top"), (b"salvaging ", "salvage", self.directory / "saved")):
            store = self.make_store(*rows, layout="directory")
            with self.subTest(command), contextlib.ExitStack() as waiting:
                # Salvaging refuses a store whose files change meanwhile.
                waiting.enter_context(self.slow(store, for_good=command == "salvage"))
                with self.watched(*command.split(), store, *arguments) as process:
                    self.await_bar(doing)
                    waiting.close()
                    self.await_end(process)

    def test_what_is_told_stands_where_the_bar_was(self):
        for doing, command, told in (
                (b"looking up ", "get", b"once: there is no b in"),
                (b"looking up the run ", "workflow show", b"once: there is no run b; "),
                (b"looking up the transaction ", "transaction show", b"once: there is no trans")):
            store = self.make_store(answered("a"), layout="directory")
            with self.subTest(command), contextlib.ExitStack() as waiting:
                waiting.enter_context(self.slow(store))
                with self.watched(*command.split(), store, "b") as process:
                    self.await_bar(doing)
                    waiting.close()
                    while self.read_terminal():
                        pass
                    self.assertEqual(process.wait(TIMEOUT_S), 1)
                    self.assertTrue(self.seen.rpartition(CLEAR)[2].startswith(told), self.seen)

    def test_rows_and_an_outcome_without_an_end_of_line_on_the_same_terminal(self):
        for doing, command, told in ((b"looking up ", ["get", "a"], b"receipt"),
                                     (b"listing ", ["ls", "--json"], b"{")):
            store = self.make_store(answered("a", b"receipt"), layout="directory")
            with self.subTest(command), contextlib.ExitStack() as waiting:
                waiting.enter_context(self.slow(store))
                with self.watched(command[0], store, *command[1:], whole=True) as process:
                    self.await_bar(doing)
                    waiting.close()
                    while self.read_terminal():
                        pass
                    self.assertEqual(process.wait(TIMEOUT_S), 0)
                    self.assertTrue(self.seen.rpartition(CLEAR)[2].startswith(told), self.seen)

    def test_only_until_the_screen_is_taken(self):
        store = self.make_store(answered("a"), layout="directory")
        with contextlib.ExitStack() as waiting:
            waiting.enter_context(self.slow(store))
            with self.watched("top", store, whole=True) as process:
                self.await_bar(b"counting ")
                waiting.close()
                while b"\x1b[?1049h" not in self.seen:
                    self.assertTrue(self.read_terminal(), self.seen)
                os.write(self.terminal, b"q")
                while self.read_terminal():
                    pass
                self.assertEqual(process.wait(TIMEOUT_S), 0)
        before, screen = self.seen.split(b"\x1b[?1049h")
        self.assertTrue(before.endswith(CLEAR), before)
        self.assertNotIn(CLEAR + b"counting", screen)

    def test_while_somebody_holds_the_key_and_not_while_the_command_runs(self):
        for command, operands in (("run", ["--key", "k", "--no-fingerprint", "--on-crash", "rerun"]),
                                  ("lock", ["k"])):
            with self.subTest(command):
                first = self.start([TOOL, command, self.store, *operands, "--", "sh", "-c",
                                    self.gated + "exit 3"])
                self.up.wait()
                with self.watched(command, self.store, *operands, "--", "sh", "-c",
                                  "echo mine >&2; kill -9 $$") as process:
                    self.await_bar(b"waiting for key ")
                    holder = b"held by pid "
                    while holder not in self.seen:
                        self.assertTrue(self.read_terminal(), self.seen)
                    self.go.open()
                    super().finish(first, 3)
                    # A bar that is there would be taken away at its end, behind this.
                    self.await_end(process, 137, b"mine\r\n")


if __name__ == "__main__":
    main()
