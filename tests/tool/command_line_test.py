"""The command line itself: help, version, usage errors, keys that need no store, the man page and
the completion."""

import hashlib
import json
import os
import pty
import re
import select
import subprocess
import time

from common import SOURCE, TOOL, ToolTest, answered, data_row, event_row, main

SUBCOMMANDS = (
    "run lock get ls log events outbox stats top transaction dump load resolve rm sweep compact "
    "verify backup salvage workflow key".split()
)
OUTBOX_SUBCOMMANDS = "ls relay retry drop".split()
KEY_SUBCOMMANDS = "content operation smith intent uuid check".split()


class HelpTest(ToolTest):
    def help_of(self, *path):
        return self.once(*path, "--help").stdout.decode()

    def paths(self):
        """Every subcommand, and those below it: ("key",), ("key", "content")."""
        for name in SUBCOMMANDS:
            yield (name,)
            below = self.help_of(name).partition("Subcommands:\n")[2].partition("\n\n")[0]
            for nested in re.findall(r"(?m)^  ([a-z]+) {2,}\S", below):
                yield (name, nested)

    def options_of(self, *path):
        """The long options in a help text."""
        text = self.help_of(*path).partition("Options:\n")[2].partition("\n\n")[0]
        return re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text)


class Help(HelpTest):
    def test_of_what_is_below_a_subcommand_is_found(self):
        nested = [path for path in self.paths() if len(path) > 1]
        for path in [("key", name) for name in KEY_SUBCOMMANDS] + [
            ("outbox", name) for name in OUTBOX_SUBCOMMANDS
        ]:
            self.assertIn(path, nested)
        self.assertIn("--exclude", self.options_of("key", "content"))

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
        for name in OUTBOX_SUBCOMMANDS:
            text = self.once("outbox", name, "--help").stdout.decode()
            self.assertIn("once outbox " + name, text)
        for name in KEY_SUBCOMMANDS:
            self.assertIn("once key " + name, self.once("key", name, "--help").stdout.decode())
        for name in ("ls", "show"):
            text = self.once("workflow", name, "--help").stdout.decode()
            self.assertIn("once workflow " + name, text)

    def test_lines_fit_a_terminal(self):
        for name in [[]] + [[name] for name in SUBCOMMANDS] + [
            ["key", n] for n in KEY_SUBCOMMANDS
        ] + [["outbox", n] for n in OUTBOX_SUBCOMMANDS]:
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
        self.refused("key", saying="content, operation, smith, intent, uuid, check")
        self.refused("key", "nonsense", saying="there is no subcommand 'nonsense' of `once key`")
        self.refused("key", "--json", saying="content, operation, smith")
        self.refused("key", "smith", saying="RUN")
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
        self.refused("ls", store, "--status", "nonsense",
                     saying="in-progress, completed, failed, in-doubt, released and expired")
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

    def text_of(self, *arguments, stdin=b""):
        return self.once("key", *arguments, stdin=stdin).stdout.decode().rstrip("\n")

    def refused(self, *arguments, saying, stdin=b""):
        done = self.once("key", *arguments, stdin=stdin, code=64)
        self.assertEqual(done.stdout, b"")
        self.assertIn(saying, done.stderr.decode())

    def test_content_of_some_members(self):
        more = b'{"t": {"u": 1, "v": 2}, "b": 2, "a": 1}'
        digits = hashlib.sha256(b'{"b":2,"t":{"u":1}}').hexdigest()[:32]
        chosen = ["--include", "t", "--include", "/b", "--exclude", "/t/v"]
        self.assertEqual(self.text_of("content", "-", *chosen, stdin=more), "operation:" + digits)
        self.assertEqual(self.text_of("content", "-", *chosen, "--prefix", "a/b", stdin=more),
                         "a%2Fb:" + digits)
        self.refused("content", "-", "--include", "none", stdin=more, saying="'none'")
        self.refused("content", "-", "--prefix", "", stdin=more, saying="empty")
        deep = b'{"a":' * 10000 + b"1" + b"}" * 10000
        self.refused("content", "-", stdin=deep, saying="500 levels")

    def test_operation(self):
        def digits(context):
            return hashlib.sha256(('{"context":{%s},"input":{"a":1}}' % context).encode())

        for options, context in ((["--user", "u", "--organisation", "o"],
                                  '"organisation":"o","user":"u"'),
                                 (["--user", "u"], '"user":"u"'), ([], "")):
            self.assertEqual(
                self.text_of("operation", "-", "--exclude", "at", *options,
                             stdin=b'{"at": 3, "a": 1.0}'),
                "operation:" + digits(context).hexdigest()[:32])
        self.refused("operation", "-", stdin=b"[", saying="no JSON")

    def test_intent(self):
        def smith(text):
            return "idem_" + hashlib.sha256(text).hexdigest()[:16]

        self.assertEqual(self.text_of("intent", "refund", "agent-7"), smith(b"refund:agent-7::::0"))
        self.assertEqual(
            self.text_of("intent", "refund", "agent-7", "--episode", "e", "--step", "3"),
            smith(b"refund:agent-7::e::3"))
        self.refused("intent", "refund", "", saying="actor")
        self.refused("intent", "refund", "a", "--step", "-1", saying="--step")

    def test_uuid(self):
        one, two = self.text_of("uuid"), self.text_of("uuid")
        self.assertNotEqual(one, two)
        for key in (one, two):
            self.assertRegex(key, r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            self.assertEqual(self.json_of("key", "check", key)["format"], "uuid")
        made = int(one.replace("-", "")[:12], 16) / 1000
        self.assertAlmostEqual(made, time.time(), delta=3600)

    def test_in_a_scope(self):
        scope = ["--tenant", "a/b", "--operation", "charge"]
        for command in (["smith", "r", "e", "s"], ["intent", "i", "a"], ["content", "-"],
                        ["operation", "-"], ["content", "-", "--prefix", "x"]):
            plain = self.text_of(*command, stdin=b"{}")
            self.assertEqual(self.text_of(*command, *scope, stdin=b"{}"), "a%2Fb/charge/" + plain)
        self.assertEqual(self.text_of("smith", "r", "e", "s", "--tenant", "t").count("/"), 2)
        self.refused("uuid", "--tenant", "t" * 256, saying="255")

    def test_check(self):
        self.assertEqual(
            self.json_of("key", "check", "acme/charge/a%2Fb"),
            {"key": "acme/charge/a%2Fb", "tenant": "acme", "operation": "charge", "id": "a/b",
             "format": "given", "note": None})
        self.assertEqual(self.text_of("check", "//x").splitlines(),
                         ["key        x", "tenant     -", "operation  -", "id         x",
                          "format     given"])
        smith = self.text_of("smith", "r", "e", "s")
        self.assertEqual(self.json_of("key", "check", smith, "--format", "smith")["format"], "smith")
        self.assertIn("format     smith", self.text_of("check", "t/o/" + smith))
        self.refused("check", smith[:-1], "--format", "smith", saying="20 characters, and 21")
        self.refused("check", smith[:-1] + "G", "--format", "smith", saying="no hexadecimal digit")
        self.refused("check", "x", "--format", "md5", saying="given, smith, operation, hybrid, uuid")
        self.refused("check", "a/b", saying="slash")
        self.refused("check", "", saying="empty")
        # What begins as a derived key and is none may be a slip.
        self.assertIn("20 characters", self.json_of("key", "check", smith[:-1])["note"])
        self.assertIn("note       this is no operation key", self.text_of("check", "operation:1"))


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


class Documents(HelpTest):
    def test_the_man_page_tells_of_every_subcommand_and_exit_code(self):
        page = (SOURCE / "tools/once/once.1").read_text()
        for name in SUBCOMMANDS:
            self.assertRegex(page, r'\.B[IR]* "?once %s ' % name)
        for code in (0, 1, 64, 65, 70, 74, 75):
            self.assertIn("\n.B %d\n" % code, page)
        for path in self.paths():
            # What the page says of this subcommand, and of what all have in common.
            begin = re.search(r'\.B[IR]* "?once %s ' % " ".join(path), page)
            self.assertTrue(begin, path)
            own = page[begin.start():].split("\n.TP\n")[0].split("\n.S")[0]
            common = page.split("\n.SH OPTIONS\n")[1].split("\n.SH ")[0]
            options = self.options_of(*path)
            self.assertIn("--json", options)
            for option in options:
                self.assertIn(option.replace("-", "\\-"), own + common, path)

    def test_the_readme_has_a_place_for_every_library(self):
        tree = (SOURCE / "README.md").read_text().split("## Map")[1].split("## How it is tested")[0]
        named = re.findall(r"`(lib/[a-z]+)`", tree)
        folders = ["lib/" + path.parent.name for path in SOURCE.glob("lib/*/meson.build")]
        self.assertEqual(sorted(named), sorted(folders))

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
        self.assertEqual(self.complete(TOOL, "key", ""), ["--json", "--help", *KEY_SUBCOMMANDS])
        self.assertEqual(self.complete(TOOL, "key", "check", "x", "--format", "s"), ["smith"])
        self.assertEqual(self.complete(TOOL, "outbox", "re"), ["relay", "retry"])
        self.assertEqual(self.complete(TOOL, "outbox", "relay", "s", "--mode", "b"), ["binary"])
        self.assertEqual(self.complete(TOOL, "outbox", "ls", "s", "--status", "d"),
                         ["dead", "delivered"])
        self.assertEqual(self.complete(TOOL, "dump", "s", "--format", "json"), ["json", "jsonl"])
        self.assertEqual(self.complete(TOOL, "events", "s", "--status", "d"), ["delivered", "dead"])
        self.assertEqual(self.complete(TOOL, "ls", "s", "--status", "e"), ["expired"])
        self.assertEqual(self.complete(TOOL, "workflow", "ls", "s", "--status", "e"), [])
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
        for path in self.paths():
            offered = self.complete(TOOL, *path, "-")
            for option in self.options_of(*path):
                self.assertIn(option, offered, path)


if __name__ == "__main__":
    main()
