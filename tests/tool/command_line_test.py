"""The command line itself: help, version, usage errors, keys that need no store, the man page and
the completion."""

import hashlib
import json
import os
import pty
import re
import select
import subprocess

from common import SOURCE, TOOL, ToolTest, answered, data_row, event_row, main

SUBCOMMANDS = (
    "run lock get ls log events stats dump load resolve rm sweep compact verify backup salvage key"
    .split()
)


class Help(ToolTest):
    def test_lists_every_subcommand_with_a_line_and_an_example(self):
        text = self.once("--help").stdout.decode()
        listed = re.findall(r"^  ([a-z]+) {2,}\S", text, re.M)
        self.assertEqual(listed, SUBCOMMANDS)
        self.assertIn("once run ", text)

    def test_of_every_subcommand_has_an_example(self):
        for name in SUBCOMMANDS:
            text = self.once(name, "--help").stdout.decode()
            self.assertRegex(text, r"Example:\n  (.*\| )?once %s |\| once %s " % (name, name))
            self.assertIn("--json", text)
        for name in ("smith", "content"):
            self.assertIn("once key " + name, self.once("key", name, "--help").stdout.decode())

    def test_lines_fit_a_terminal(self):
        for name in [[]] + [[name] for name in SUBCOMMANDS]:
            text = self.once(*name, "--help").stdout.decode()
            self.assertIn("Usage: once", text)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 120, line)

    def test_version(self):
        text = self.once("--version").stdout
        self.assertRegex(text, rb"^once \d+\.\d+\.\d+ \(store format 1\)\n$")
        before = json.loads(self.once("--json", "--version").stdout)
        self.assertEqual(before, json.loads(self.once("--version", "--json").stdout))
        self.assertEqual(before["store_format"], 1)


class Usage(ToolTest):
    def refused(self, *arguments, saying=""):
        done = self.once(*arguments, code=64)
        self.assertEqual(done.stdout, b"")
        self.assertIn(saying, done.stderr.decode())

    def test_errors_exit_64(self):
        self.refused(saying="--help")
        self.refused("nonsense", saying="nonsense")
        self.refused("get", saying="STORE")
        self.refused("get", "store", saying="KEY")
        self.refused("get", "store", "key", "extra", saying="extra")
        self.refused("ls", "store", "--nonsense", saying="--nonsense")
        self.refused("key", saying="subcommand")
        self.refused("resolve", "store", "key", saying="--as")

    def test_a_key_that_is_none(self):
        for command in ("get", "rm"):
            self.refused(command, "store", "", saying="id")
            self.refused(command, "store", "a/b", saying="slash")
            self.refused(command, "store", "a/b/c/d", saying="slash")
            self.refused(command, "store", "a%", saying="escape")
            self.refused(command, "store", "a%4", saying="escape")
            self.refused(command, "store", "a%zz", saying="escape")
            self.refused(command, "store", "a" * 1025, saying="1024")
            self.refused(command, "store", "a" * 256 + "//id", saying="255")
        self.refused("log", "store", "--key", "a%", saying="escape")
        self.refused("resolve", "store", "a%", "--as", "rerun", saying="escape")

    def test_a_word_that_is_not_known(self):
        store = self.make_store()
        self.refused("ls", store, "--status", "nonsense", saying="in_progress")
        self.refused("events", store, "--status", "nonsense", saying="delivered")
        self.refused("dump", store, "--table", "nonsense", saying="checkpoints")
        self.refused("dump", store, "--format", "nonsense", saying="jsonl")
        self.refused("dump", store, "--damaged-log", "nonsense", saying="keep-prefix")
        self.refused("dump", store, "--format", "table", "--json", saying="table")
        self.refused("resolve", store, "a", "--as", "nonsense", saying="rerun")

    def test_durations(self):
        for bad in ("", "5", "m", "5x", "-5m", "1.5h", "5 m", "5mm", "99999999999999999999s",
                    "99999999999999d", "Forever"):
            done = self.once("run", "store", "--key", "a", "--wait=" + bad, "--", "true", code=64)
            self.assertIn(b"once: ", done.stderr)
        store = self.fresh_path()
        for good in ("0s", "250ms", "30s", "5m", "24h", "7d", "forever"):
            self.once("run", store, "--key", "a", "--wait", good, "--", "true")


class Key(ToolTest):
    def test_smith(self):
        want = "idem_" + hashlib.sha256(b"run::2::three").hexdigest()[:16]
        text = self.once("key", "smith", "run", "2", "three").stdout.decode()
        self.assertEqual(text, want + "\n")
        self.assertEqual(self.json_of("key", "smith", "run", "2", "three"), {"key": want})
        self.once("key", "smith", "", "2", "three", code=64)
        # Names of subcommands and dashes are arguments as any other.
        self.once("key", "smith", "get", "smith", "--", "-3")

    def test_content(self):
        want = "operation:" + hashlib.sha256(b'{"a":[1,"x"],"b":2}').hexdigest()[:32]
        file = self.directory / "order.json"
        file.write_text('{ "b": 2.0, "a": [1, "x"] }')
        self.assertEqual(self.once("key", "content", file).stdout.decode(), want + "\n")
        self.assertEqual(self.json_of("key", "content", file), {"key": want})
        more = b'{"t": {"u": 1}, "b": 2, "c": 3, "a": [1, "x"]}'
        done = self.once("key", "content", "-", "--exclude", "c", "--exclude", "/t", stdin=more)
        self.assertEqual(done.stdout.decode(), want + "\n")
        self.once("key", "content", "-", stdin=b"{", code=64)
        self.once("key", "content", "-", "--exclude", "none", stdin=b"{}", code=64)
        done = self.once("key", "content", self.directory / "none", code=64)
        self.assertIn(b"No such file", done.stderr)


class Streams(ToolTest):
    def test_a_full_disk_is_an_error(self):
        store = self.make_store()
        with open("/dev/full", "wb") as full:
            for arguments in (["--version"], ["--help"], ["stats", store], ["dump", store]):
                done = self.once(*arguments, stdout=full, code=74)
                self.assertIn(b"No space left", done.stderr)

    def test_a_closed_stdout_is_an_error_and_not_a_file_of_the_store(self):
        store = self.make_store()
        for command in ("stats", "sweep"):
            done = subprocess.run(
                ["sh", "-c", 'exec "$0" "$1" "$2" >&-', TOOL, command, store],
                stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 74, done.stderr)
        self.once("verify", store)

    def test_whoever_reads_may_stop_reading(self):
        # More than fits into a pipe, so that the writer meets its end.
        store = self.make_store(*[data_row(b"%08d" % i, b"x" * 200) for i in range(3000)])
        with subprocess.Popen([TOOL, "dump", store], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as dump:
            self.assertIn(b"store", dump.stdout.readline())
            dump.stdout.close()
            self.assertEqual(dump.stderr.read(), b"")
            self.assertEqual(dump.wait(), 0)

    def test_no_colours_and_no_tables_in_a_pipe(self):
        store = self.make_store(answered("a"))
        for command in ("ls", "dump", "log", "events", "stats"):
            out = self.once(command, store, env={**os.environ, "TERM": "xterm"}).stdout
            self.assertNotIn(b"\x1b", out)
        self.assertEqual(self.once("ls", store).stdout, b"a\n")


class Terminal(ToolTest):
    def on_terminal(self, *arguments, **environment):
        """What the tool prints on a terminal."""
        master, slave = pty.openpty()
        child = subprocess.Popen([TOOL, *map(str, arguments)], stdin=slave, stdout=slave,
                                 stderr=slave, env={**os.environ, "TERM": "xterm", **environment})
        os.close(slave)
        out = b""
        while select.select([master], [], [], 60)[0]:
            try:
                more = os.read(master, 65536)
            except OSError:  # the other side has closed
                break
            if not more:
                break
            out += more
        os.close(master)
        self.assertEqual(child.wait(), 0, out)
        return out

    def test_tables_and_colours(self):
        store = self.make_store(answered("a/b/c", b"\x1b]0;evil\x07"), event_row(5))
        ls = self.on_terminal("ls", store)
        self.assertIn(b"attempt", ls)
        self.assertIn(b"\x1b[32mcompleted", ls)
        self.assertNotIn(b"\x1b", self.on_terminal("ls", store, NO_COLOR="1"))
        self.assertNotIn(b"\x1b", self.on_terminal("ls", store, TERM="dumb"))
        self.assertIn(b"\x1b", self.on_terminal("ls", store, NO_COLOR=""))
        # What is stored cannot steer the terminal.
        dump = self.on_terminal("dump", store, NO_COLOR="1")
        self.assertNotIn(b"\x1b", dump)
        self.assertIn(rb"\x1b]0;evil\x07", dump)
        self.assertIn(b"order.placed", dump)
        for line in self.on_terminal("ls", store, "--json").splitlines():
            json.loads(line)


class Documents(ToolTest):
    def test_the_man_page_tells_of_every_subcommand_and_exit_code(self):
        page = (SOURCE / "tools/once/once.1").read_text()
        for name in SUBCOMMANDS:
            self.assertRegex(page, r'\.B[IR]* "?once %s ' % name)
        for code in (0, 1, 64, 65, 70, 74, 75):
            self.assertIn("\n.B %d\n" % code, page)
        for name in SUBCOMMANDS:
            text = self.once(name, "--help").stdout.decode()
            options = re.findall(r"--[a-z-]+", text.split("Example:")[0])
            self.assertIn("--json", options)
            for option in options:
                self.assertIn(option.replace("-", "\\-"), page, name)

    def complete(self, *words, line=""):
        """What the completion offers for the last of `words`, of which `line` was made."""
        script = """
            source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; shift 2
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _once
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        completion = SOURCE / "tools/once/completion.bash"
        done = subprocess.run(["bash", "-c", script, "bash", completion, line, *map(str, words)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_the_completion_is_valid_bash(self):
        subprocess.run(["bash", "-n", SOURCE / "tools/once/completion.bash"], check=True)

    def test_the_completion_completes(self):
        offered = self.complete(TOOL, "")
        for name in SUBCOMMANDS:
            self.assertIn(name, offered)
        self.assertEqual(self.complete(TOOL, "ve"), ["verify"])
        self.assertEqual(self.complete(TOOL, "key", ""), ["--json", "--help", "smith", "content"])
        self.assertEqual(self.complete(TOOL, "dump", "s", "--format", "json"), ["json", "jsonl"])
        self.assertEqual(self.complete(TOOL, "events", "s", "--status", "d"), ["delivered", "dead"])
        store = self.make_store(answered("a/b/c", counter=1), answered("a/b/d", counter=2))
        self.assertEqual(self.complete(TOOL, "get", store, "a/b/"), ["a/b/c", "a/b/d"])
        self.assertIn(str(store), self.complete(TOOL, "ls", str(store)[:-1]))

    def test_the_completion_of_keys_that_bash_breaks_into_words(self):
        keys = ("a:b=c/d/e:1", "x", "a:b=c/d/e:2", "operation:0f")
        store = self.make_store(*[answered(key, counter=i) for i, key in enumerate(keys, 1)])

        def complete(text):
            """As readline does: it breaks words at : and =, and replaces the last piece."""
            line = "%s %s" % (TOOL, text)
            pieces = re.findall(r"[:=]+|[^\s:=]+", line)
            self.assertNotRegex(str(store) + TOOL, "[:=]")
            if line[-1] in " :=":
                pieces.append("")
            return self.complete(*pieces, line=line)

        for get in ("get %s " % store, "run %s --key " % store, "run %s --key=" % store):
            self.assertEqual(complete(get + "a"), ["a:b=c/d/e:1", "a:b=c/d/e:2"])
            self.assertEqual(complete(get + "a:"), ["b=c/d/e:1", "b=c/d/e:2"])
            self.assertEqual(complete(get + "a:b=c/"), ["c/d/e:1", "c/d/e:2"])
            self.assertEqual(complete(get + "a:b=c/d/e:"), ["1", "2"])
            self.assertEqual(complete(get + "a:b=c/d/e:2"), ["2"])
            self.assertEqual(complete(get + "operation:"), ["0f"])
            self.assertEqual(complete(get + "a:n"), [])
        self.assertEqual(complete("get %s a:b=c/d/e:1 --j" % store), ["--json"])
        self.assertEqual(complete("dump %s --format=t" % store), ["table"])
        # In quotes bash does not break, and replaces the whole.
        line = "%s get %s 'operation:" % (TOOL, store)
        self.assertEqual(self.complete(TOOL, "get", store, "'operation:", line=line),
                         ["operation:0f"])

    def test_the_completion_knows_every_option(self):
        for name in SUBCOMMANDS:
            text = self.once(name, "--help").stdout.decode().split("Options:")[1]
            offered = self.complete(TOOL, name, "-")
            for option in re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text):
                # Of `key smith` and `key content` the options come one word later.
                self.assertIn(option, offered, name)


if __name__ == "__main__":
    main()
