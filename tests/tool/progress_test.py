"""The bar on a terminal: it is there when something takes over a second, whatever it waits for, and
gone when that is done. Here it always waits for us, so that nothing depends on how fast a machine
is; only where somebody else holds the store does it give up, after five seconds."""

import contextlib
import os
import pty
import select
import subprocess

from common import (LAYOUTS, TIMEOUT_S, TOOL, ToolTest, end_row, event_row, held, history_row,
                    key_row, lines, main, store_row)

CLEAR = b"\r\x1b[K"


class Progress(ToolTest):
    @contextlib.contextmanager
    def watched(self, *arguments):
        """The tool with a terminal for its messages."""
        self.terminal, slave = pty.openpty()
        self.seen = b""
        process = subprocess.Popen([TOOL, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.stdout.close()
            process.wait()
            os.close(self.terminal)

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

    def finish(self, process):
        """Waits for the end, and for the bar to be gone. What was printed."""
        out = process.stdout.read()
        while self.read_terminal():
            pass
        self.assertEqual(process.wait(TIMEOUT_S), 0, self.seen)
        self.assertTrue(self.seen.endswith(CLEAR), self.seen)
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
            self.assertIn(b"loaded 2 rows", self.finish(process))

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
                out = self.finish(process)
                for key in (keys[0], keys[-1]):
                    self.assertIn(key.encode(), out)

    def test_while_somebody_else_writes(self):
        for command, doing in (("sweep", b"sweeping "), ("compact", b"compacting ")):
            for layout in LAYOUTS:
                store = self.make_store(key_row("a", "in_doubt"), layout=layout)
                # Held before the tool starts: it could be done before we come to holding.
                with self.subTest((command, layout)), contextlib.ExitStack() as holding:
                    holding.enter_context(held(store))
                    with self.watched(command, store) as process:
                        self.await_bar(doing, times=1)
                        holding.close()
                        self.finish(process)

    def test_while_a_file_of_the_store_is_slow(self):
        for doing, *arguments in ([b"counting ", "stats"], [b"verifying ", "verify"],
                                  [b"copying ", "backup", self.directory / "copy"]):
            store = self.make_store(key_row("a", "in_doubt"), layout="directory")
            # Whoever opens the marker waits until we open its other end.
            marker = store / "ONCE"
            text = marker.read_bytes()
            marker.rename(self.directory / "marker")
            os.mkfifo(marker)
            command, *rest = arguments
            with self.subTest(command), self.watched(command, store, *rest) as process:
                self.await_bar(doing)
                with open(marker, "wb") as writer:
                    (self.directory / "marker").rename(marker)
                    writer.write(text)
                self.finish(process)


if __name__ == "__main__":
    main()
