"""What `meson install` gives, and that a program outside the tree builds and runs with it.

Arguments: build folder, version, and `tool` when the command-line tool is part of the build.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

PROGRAM = """
#include <once/once.h>

#include <cstdio>

int main() {
  auto store = once::Store::open("memory:");
  if (!store) {
    std::puts(store.error().message.c_str());
    return 1;
  }
  int ran = 0;
  for (int i = 0; i < 2; ++i) {
    auto answer = store->execute("charge:42", [&] { return ++ran; });
    if (!answer) {
      std::puts(answer.error().message.c_str());
      return 1;
    }
    std::printf("%d %s\\n", answer->value(), answer->replayed() ? "replayed" : "executed");
  }
}
"""

# What a program's own tests would do, by the installed headers alone.
KIT_PROGRAM = """
#include <once/once.h>
#include <once/testing.h>

#include <cstdio>

int main() {
  using namespace once::testing;
  auto clock = std::make_shared<ManualClock>();
  MemoryDisk disk;
  ExecutionProbe probe;
  once::Options options;
  options.clock = clock;
  const auto charge = [&](once::Store& store) {
    auto work = probe.watch("charge:42", [] { return 7; });
    return store.execute("charge:42", work, {.retention = std::chrono::hours(1)}).has_value();
  };
  {
    auto store = disk.open(options);
    if (!store || !charge(*store)) return 1;
    disk.fail({.call = DiskCall::sync});
    auto failed = store->execute("charge:43", [] { return 1; });
    std::printf("%s\\n", failed ? "done" : "failed");
    disk.power_cut();
  }
  auto store = disk.open(options);
  if (!store || !charge(*store)) return 1;
  std::printf("%d executed\\n", static_cast<int>(probe.executions("charge:42")));
  clock->advance(std::chrono::hours(1));
  if (!charge(*store)) return 1;
  std::printf("%d executed, %d at a time\\n", static_cast<int>(probe.executions("charge:42")),
              static_cast<int>(probe.overlaps()) + 1);
}
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name, "root")
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root)

    def one(self, pattern):
        found = [path for path in self.root.rglob(pattern)]
        self.assertEqual(len(found), 1, f"{pattern}: {found}")
        return found[0]

    def environment(self):
        return os.environ | {
            "PKG_CONFIG_PATH": str(self.one("once.pc").parent),
            "PKG_CONFIG_SYSROOT_DIR": str(self.root),
            "LD_LIBRARY_PATH": str(self.one("libonce.so").parent),
        }

    def test_headers(self):
        source = pathlib.Path(__file__).resolve().parents[2] / "include" / "once"
        installed = {path.name for path in self.one("once.h").parent.iterdir()}
        self.assertEqual(installed, {path.name for path in source.glob("*.h")})
        self.assertEqual(self.one("once.h").parent.parts[-2:], ("include", "once"))

    def test_library(self):
        library = self.one("libonce.so")
        self.assertEqual(library.readlink(), pathlib.Path("libonce.so.0"))
        self.assertEqual((library.parent / "libonce.so.0").resolve().name, f"libonce.so.{VERSION}")

    def test_pkg_config_knows_the_version(self):
        version = run("pkg-config", "--modversion", "once", env=self.environment())
        self.assertEqual(version.strip(), VERSION)

    def test_no_test_or_internal_library_is_installed(self):
        self.assertEqual(list(self.root.rglob("*.a")), [])
        # But the kit, which is for the tests of others.
        self.assertEqual([p.name for p in self.root.rglob("*") if "test" in p.name], ["testing.h"])

    def test_a_program_outside_the_tree(self):
        self.assertEqual(self.build_and_run(PROGRAM), "1 executed\n1 replayed\n")

    def test_the_test_kit_outside_the_tree(self):
        self.assertEqual(self.build_and_run(KIT_PROGRAM),
                         "failed\n1 executed\n2 executed, 1 at a time\n")

    def build_and_run(self, program):
        environment = self.environment()
        flags = shlex.split(run("pkg-config", "--cflags", "--libs", "once", env=environment))
        source = pathlib.Path(self.folder.name, "program.cc")
        source.write_text(program)
        binary = source.with_suffix("")
        run(*shlex.split(os.environ.get("CXX", "g++")), "-std=c++23", "-Wall", "-Werror", source,
            "-o", binary, *flags, env=environment)
        return run(binary, env=environment, cwd=self.folder.name)

    def test_tool(self):
        if not TOOL:
            self.skipTest("built without the tool")
        tool = next(path for path in self.root.rglob("bin/once"))
        # Without a library path: the tool needs no libonce.so.
        self.assertIn(VERSION, run(tool, "--version"))

    def test_manual_page_and_completion(self):
        if not TOOL:
            self.skipTest("built without the tool")
        self.assertEqual(self.one("once.1").parent.parts[-3:], ("share", "man", "man1"))
        completion = list(self.root.rglob("share/bash-completion/completions/once"))
        self.assertEqual(len(completion), 1)
        run("bash", "-n", completion[0])


if __name__ == "__main__":
    BUILD, VERSION, TOOL = sys.argv[1], sys.argv[2], sys.argv[3] == "tool"
    unittest.main(argv=sys.argv[:1])
