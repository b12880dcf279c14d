"""What the tests of the tool share: running it, making stores out of rows written by hand, and
comparing what is on disk.

    class Ls(ToolTest):
        def test_lists(self):
            store = self.make_store(key_row("a"))
            self.assertEqual(self.once("ls", store).stdout, b"a\\n")

The tool's path comes from the environment variable ONCE_TOOL.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

TOOL = os.path.abspath(os.environ.get("ONCE_TOOL", "build/once"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 120

LAYOUTS = ("file", "directory")

# What runs in the background of a shell without job control ignores some signals, and so would all
# that it starts: a command that is to get them must find them as they are by default.
for _number in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2"):
    _signal = getattr(signal, "SIG" + _number)
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, signal.SIG_DFL)

NOW = int(time.time() * 1000)
HOUR = 3_600_000
OPENING = 3


def token(counter):
    """A token as the first opening of a store gives it."""
    return (1 << 24) + counter


def escape(part):
    """One part of a key in its written form."""
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@+=,"
    return "".join(chr(c) if c in plain else "%%%02X" % c for c in part)


def bytes_json(data):
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def bytes_of(value):
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def store_row(opening=OPENING):
    return {"table": "store", "format": 1, "opening": opening}


def holder():
    """This process, which is alive."""
    stat = pathlib.Path("/proc/self/stat").read_text()
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
    return {
        "boot": boot.strip().replace("-", ""),
        "pid_namespace": os.stat("/proc/self/ns/pid").st_ino,
        "pid": os.getpid(),
        "start_time": int(stat[stat.rindex(")") + 2 :].split()[19]),
    }


def outcome(value=b"", kind="success", code="", message="", content_type="", omitted_bytes=0):
    return {
        "kind": kind,
        "value": None if value is None else bytes_json(value),
        "code": code,
        "message": message,
        "content_type": content_type,
        "omitted_bytes": omitted_bytes,
    }


def digest(of):
    """Outcome::digest(), see docs/formats.md."""
    kinds = {"success": 1, "failure": 2, "timeout": 3, "killed": 4}
    value = b"" if of["value"] is None else bytes_of(of["value"])
    parts = [of["code"].encode(), of["message"].encode(), of["content_type"].encode(), value]
    head = struct.pack("<BBQ", kinds[of["kind"]], of["value"] is not None, of["omitted_bytes"])
    head += b"".join(struct.pack("<Q", len(part)) for part in parts)
    return hashlib.sha256(head + b"".join(parts)).hexdigest()[:32]


def key_row(key, status="completed", counter=1, **fields):
    finished = status in ("completed", "failed", "released")
    row = {
        "table": "keys",
        "key": key,
        "status": status,
        "on_abandon": "in_doubt",
        "token": token(counter),
        "origin": token(counter),
        "attempt": 1,
        "created_at": NOW - HOUR,
        "updated_at": NOW - HOUR,
        "lease_until": NOW + HOUR if status == "in_progress" else 0,
        "expires_at": NOW + 24 * HOUR if finished else 0,
        "retention": 24 * HOUR,
        "holder": None,
        "fingerprint": None,
        "outcome": digest(outcome(b"")) if status in ("completed", "failed") else None,
        "last_history": 0,
    }
    row.update(fields)
    return row


def result_row(key, of, counter=1, **fields):
    row = {
        "table": "results",
        "key": key,
        "token": token(counter),
        "expires_at": NOW + 24 * HOUR,
        "outcome": of,
    }
    row.update(fields)
    return row


def answered(key, value=b"", counter=1, **fields):
    """The two rows of a key that has an outcome."""
    of = outcome(value, **fields)
    status = "completed" if of["kind"] == "success" else "failed"
    return [key_row(key, status, counter, outcome=digest(of)), result_row(key, of, counter)]


def checkpoint_row(key, name, data=b"", counter=1, sequence=1):
    return {
        "table": "checkpoints",
        "key": key,
        "name": name,
        "data": bytes_json(data),
        "token": token(counter),
        "sequence": token(sequence),
        "created_at": NOW - HOUR,
    }


def event_row(sequence, status="pending", payload=b"{}", **fields):
    row = {
        "table": "outbox",
        "sequence": token(sequence),
        "id": "event-%d" % sequence,
        "aggregate_type": "order",
        "aggregate_id": "9",
        "type": "order.placed",
        "payload": bytes_json(payload),
        "headers": {},
        "metadata": {},
        "status": status,
        "retries": 0,
        "created_at": NOW - HOUR,
        "published_at": NOW if status == "delivered" else 0,
        "expires_at": NOW + 24 * HOUR if status == "delivered" else 0,
    }
    row.update(fields)
    return row


def history_row(sequence, key, what="reserved", status="in_progress", **fields):
    row = {
        "table": "history",
        "sequence": token(sequence),
        "previous": 0,
        "time": NOW - HOUR,
        "deadline": NOW + HOUR,
        "key": key,
        "what": what,
        "status": status,
        "token": token(1),
        "attempt": 1,
        "holder": None,
        "note": "",
    }
    row.update(fields)
    return row


def data_row(key, value):
    return {"table": "data", "key": bytes_json(key), "value": bytes_json(value)}


def lines(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def end_row(rows):
    return {"table": "end", "rows": rows}


def whole(rows):
    """A dump of these rows, with its end."""
    return lines(rows) + lines([end_row(len(rows))])


def snapshot(directory):
    """Name, kind, mode and content of everything in a directory."""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path.relative_to(directory))] = (
            status.st_mode,
            status.st_size if path.is_file() else 0,
            status.st_mtime_ns,
            content,
        )
    return found


@contextlib.contextmanager
def held(store):
    """Holds a store as one does who writes: by a lock of the open file description."""
    path, first, count = (store / "ONCE.lock", 0, 0) if store.is_dir() else (store, 1 << 62, 1)
    with open(path, "r+b") as lock:
        fcntl.fcntl(lock, fcntl.F_OFD_SETLKW,
                    struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, count, 0))
        yield


def parts(store):
    """The path of a store, and those of the files in it if it is a directory."""
    return [store, *(store.iterdir() if store.is_dir() else [])]


def remove(store):
    if store.is_dir():
        shutil.rmtree(store)
    else:
        store.unlink()


def damage(store, value):
    """Flips a bit of a value wherever it stands in a store."""
    for path in parts(store):
        if path.is_dir():
            continue
        content = bytearray(path.read_bytes())
        at = content.find(value)
        while at >= 0:
            content[at] ^= 1
            at = content.find(value, at + 1)
        path.write_bytes(content)


class ToolTest(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="once-tool-test."))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.stores = 0

    def once(self, *arguments, stdin=b"", code=0, **options):
        """Runs the tool; its exit code must be `code` (None: whatever)."""
        done = subprocess.run(
            [TOOL, *map(str, arguments)],
            input=stdin,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            **options,
        )
        if code is not None:
            self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        # A failure is told in words of our own, and not by the runtime.
        for line in done.stderr.splitlines()[:1]:
            self.assertTrue(line.startswith(b"once: "), done.stderr)
        self.assertNotIn(b"terminate called", done.stderr)
        return done

    def json_of(self, *arguments, **options):
        return json.loads(self.once("--json", *arguments, **options).stdout)

    def json_lines_of(self, *arguments, **options):
        out = self.once(*arguments, **options).stdout
        return [json.loads(line) for line in out.splitlines()]

    def fresh_path(self):
        self.stores += 1
        return self.directory / ("store-%d" % self.stores)

    def make_store(self, *rows, layout=None):
        """A store of these rows; a list of rows may stand for a row."""
        flat = [store_row()]
        for row in rows:
            flat.extend(row if isinstance(row, list) else [row])
        path = self.fresh_path()
        self.once("load", path, *(["--layout", layout] if layout else []), stdin=whole(flat))
        return path


main = unittest.main
