"""Paths that are no store, and looking without leaving a trace."""

import os
import shutil
import subprocess

from common import (LAYOUTS, TOOL, ToolTest, answered, checkpoint_row, data_row, event_row,
                    history_row, key_row, main, parts, snapshot)

NOBODY = 65534


def looking(store):
    """Every way to look at a store that has the key `a`."""
    return [
        ["get", store, "a"],
        ["get", store, "a", "--json"],
        ["ls", store],
        ["ls", store, "--json"],
        ["dump", store],
        ["dump", store, "--json"],
        ["dump", store, "--format", "table"],
        ["dump", store, "--damaged-log", "keep-prefix"],
        ["stats", store],
        ["stats", store, "--json"],
        ["verify", store],
        ["verify", store, "--json"],
        ["events", store],
        ["events", store, "--json"],
        ["log", store],
        ["log", store, "--json"],
        ["stats", store, "--by", "both"],
        ["outbox", "ls", store],
        ["outbox", "ls", store, "--status", "all", "--json"],
        ["workflow", "ls", store],
        ["workflow", "ls", store, "--json"],
        ["transaction", "ls", store],
        ["transaction", "ls", store, "--json"],
        ["top", store, "--json"],
    ]


def changing(store):
    return [
        ["rm", store, "a"],
        ["sweep", store],
        ["compact", store],
        ["resolve", store, "a", "--as", "rerun"],
    ]


class NetworkFileSystem(ToolTest):
    def once_there(self, *arguments, **options):
        env = dict(os.environ, LD_PRELOAD=os.environ["ONCE_NETWORK_FILE_SYSTEM"])
        return self.once(*arguments, env=env, **options)

    def test_it_is_refused_and_the_message_says_what_to_do(self):
        store = self.make_store(answered("a", b"1"))
        before = snapshot(self.directory)
        fresh = self.directory / "fresh"
        making = [["run", fresh, "--key", "k", "--", "true"],
                  ["lock", fresh, "l", "--", "true"],
                  ["salvage", store, fresh]]
        for arguments in looking(store) + changing(store) + making:
            done = self.once_there(*arguments, code=74)
            self.assertIn(b"NFS", done.stderr, arguments)
            self.assertIn(b"--allow-network-file-system", done.stderr, arguments)
            self.assertEqual(snapshot(self.directory), before, arguments)

    def test_it_is_used_when_that_is_asked_for(self):
        flag = "--allow-network-file-system"
        store = self.make_store(answered("a", b"1"))
        self.assertEqual(self.once_there("get", store, "a", flag).stdout, b"1")
        for arguments in looking(store):
            self.once_there(*arguments, flag)
        rows = self.once("dump", store, "--format", "jsonl").stdout
        self.once_there("load", flag, self.directory / "loaded", stdin=rows)
        self.once_there("backup", flag, store, self.directory / "copy")
        self.once_there("salvage", flag, store, self.directory / "saved")
        self.once_there("lock", flag, store, "l", "--", "true")
        self.once_there("run", flag, self.directory / "made", "--key", "k", "--", "true")
        self.once_there("rm", flag, store, "a")
        self.once_there("sweep", flag, store)
        self.once_there("compact", flag, store)
        self.once("get", store, "a", code=1)


class NoStore(ToolTest):
    def test_a_missing_store_is_not_made(self):
        path = self.directory / "none"
        for arguments in looking(path) + changing(path) + [["backup", path, self.directory / "b"]]:
            done = self.once(*arguments, code=74)
            self.assertEqual(done.stdout, b"", arguments)
            self.assertIn(b"none", done.stderr)
        self.once("log", path, "--follow", code=74)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_directory_of_something_else_is_left_alone(self):
        other = self.directory / "other"
        other.mkdir()
        (other / "letter").write_text("dear aunt")
        empty = self.directory / "empty"
        empty.mkdir()
        before = snapshot(self.directory)
        for path in (other, empty, other / "letter", other / "letter" / "below"):
            for arguments in looking(path) + changing(path):
                self.once(*arguments, code=74)
            self.once("log", path, "--follow", code=74)
        self.once("load", other, code=64)
        self.assertEqual(snapshot(self.directory), before)

    def test_a_store_of_a_newer_format(self):
        store = self.make_store(answered("a"), layout="directory")
        (store / "ONCE").write_text("once store\nformat 99\n")
        before = snapshot(store)
        for arguments in looking(store) + changing(store):
            self.assertIn(b"99", self.once(*arguments, code=74).stderr)
        self.assertEqual(snapshot(store), before)


class Memory(ToolTest):
    def refused(self, *arguments):
        done = self.once(*arguments, code=64, cwd=self.directory)
        self.assertEqual(done.stdout, b"", arguments)
        self.assertIn(b"memory:", done.stderr)
        self.assertIn(b"path", done.stderr)

    def test_a_store_that_ends_with_the_tool_is_refused(self):
        for arguments in looking("memory:") + changing("memory:"):
            self.refused(*arguments)
        self.refused("log", "memory:", "--follow")
        self.refused("load", "memory:")
        self.refused("salvage", "memory:", "fresh")
        self.refused("backup", "memory:", "copy")
        self.refused("backup", self.make_store(answered("a")), "memory:")

    def test_no_command_runs_under_a_key_that_nobody_else_sees(self):
        for arguments in (["run", "memory:", "--key", "a"], ["lock", "memory:", "a"]):
            self.refused(*arguments, "--", "touch", "it-ran")
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_a_file_of_that_name_is_a_path_as_any_other(self):
        for _ in range(2):
            done = self.once("run", "./memory:", "--key", "a", "--", "echo", "ran",
                             cwd=self.directory)
            self.assertEqual(done.stdout, b"ran\n")
        self.assertTrue((self.directory / "memory:").is_file())


class Permission(ToolTest):
    def as_nobody(self, *arguments, code):
        if os.geteuid() != 0:
            return self.once(*arguments, code=code)
        # A copy, since the directory of the build may be closed to others.
        tool = self.directory / "once"
        if not tool.exists():
            shutil.copy(TOOL, tool)
            tool.chmod(0o755)
            self.directory.chmod(0o755)
        done = subprocess.run([tool, *map(str, arguments)], user=NOBODY, group=NOBODY,
                              extra_groups=[], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, check=False)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done

    def test_a_store_that_may_not_be_read(self):
        for layout in LAYOUTS:
            store = self.make_store(answered("a"), layout=layout)
            for path in parts(store):
                path.chmod(0)
            for arguments in looking(store) + changing(store):
                self.assertIn(b"ermission", self.as_nobody(*arguments, code=74).stderr)
            self.assertIn(b"ermission", self.as_nobody("log", store, "--follow", code=74).stderr)
        store.chmod(0o755)  # the directory
        for arguments in looking(store) + changing(store):
            self.assertIn(b"ermission", self.as_nobody(*arguments, code=74).stderr)

    def test_a_file_of_the_store_that_may_not_be_read(self):
        store = self.make_store(answered("a", b"x"), layout="directory")
        for path in store.iterdir():
            path.chmod(0o644)
        current = store / "CURRENT"
        current.chmod(0)
        for arguments in looking(store):
            self.as_nobody(*arguments, code=74)

    def test_a_store_that_may_be_read_but_not_written(self):
        self.as_nobody("--version", code=0)
        for layout in LAYOUTS:
            store = self.make_store(answered("a", b"x"), layout=layout)
            for path in parts(store):
                path.chmod(0o755 if path.is_dir() else 0o644)
            before = snapshot(self.directory)
            self.assertEqual(self.as_nobody("get", store, "a", code=0).stdout, b"x")
            for arguments in changing(store):
                self.assertIn(b"ermission", self.as_nobody(*arguments, code=74).stderr)
            self.as_nobody("load", self.directory / "mine", code=74)
            self.as_nobody("backup", store, self.directory / "mine", code=74)
            self.assertEqual(snapshot(self.directory), before)


class NoTrace(ToolTest):
    def rows(self):
        return [answered("a", b"x"), key_row("b", "in_doubt", 2), checkpoint_row("a", "s"),
                event_row(5), history_row(6, "gone", "removed"), data_row(b"k", b"v")]

    def test_looking_changes_nothing(self):
        for layout in LAYOUTS:
            store = self.make_store(*self.rows(), layout=layout)
            # With a log that was not written out, too: what opening for writing would recover.
            self.once("run", store, "--key", "c", "--", "true")
            before = snapshot(self.directory)
            self.assertIn(store.name, before)
            for arguments in looking(store):
                self.once(*arguments)
                self.assertEqual(snapshot(self.directory), before, arguments)
            copy = self.directory / ("copy of a " + layout)
            self.once("backup", store, copy)
            self.assertEqual(self.once("ls", copy).stdout, self.once("ls", store).stdout)
            after = {name: what for name, what in snapshot(self.directory).items()
                     if not name.startswith(copy.name)}
            self.assertEqual(after, before)

    def test_looking_works_where_nothing_can_be_written(self):
        for layout in LAYOUTS:
            store = self.make_store(*self.rows(), layout=layout)
            for path in parts(store):
                path.chmod(path.stat().st_mode & 0o555)
            for arguments in looking(store):
                self.once(*arguments)

    def test_looking_works_while_the_store_is_held(self):
        store = self.make_store(*self.rows())
        # A command that runs does not hold the store, and its renewals must not meet a lock.
        with subprocess.Popen([TOOL, "run", store, "--key", "long", "--", "sh", "-c", "read line"],
                              stdin=subprocess.PIPE) as run:
            while self.json_of("stats", store)["in_progress"] == 0:
                self.assertIsNone(run.poll())
            for arguments in looking(store):
                self.once(*arguments)
            run.stdin.close()
            self.assertIn(run.wait(), (0, 1))


if __name__ == "__main__":
    main()
