"""That what README.md says of features is there: features_test.py SOURCE_FOLDER [TOOL].

Every number once and in order; every name in the header that stands before it, every test with its case,
every section of the documents and, with the tool, every subcommand and option.
"""

import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(sys.argv[1])
TOOL = sys.argv[2] if len(sys.argv) > 2 else None

NUMBERS = ([f"K{n}" for n in range(1, 10)] + [f"E{n}" for n in range(1, 22)]
           + [f"W{n}" for n in range(1, 11)] + [f"T{n}" for n in range(1, 5)]
           + [f"O{n}" for n in range(1, 10)] + ["S7", "C2"])


def features():
    readme = (SOURCE / "README.md").read_text(encoding="utf-8")
    return readme.split("\n## Features\n")[1].split("\n## ")[0]


def rows():
    """The cells of each line, without those of the heads."""
    lines = [line for line in features().splitlines() if re.match(r"\| [A-Z]\d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def cases(path):
    """The titles of the test cases in a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return set(re.findall(r"(?m)^ +def (test_\w+)\(", text))
    return set(re.findall(r'TEST_CASE(?:_TEMPLATE)?\(\s*"((?:[^"\\]|\\.)*)"', text))


class Features(unittest.TestCase):
    def test_each_number_once_and_in_order(self):
        self.assertEqual([row[0] for row in rows()], NUMBERS)
        self.assertEqual({len(row) for row in rows()}, {5})

    def test_names_are_in_their_headers(self):
        for number, _, names, _, _ in rows():
            header = None
            for word in re.findall(r"`([^`]+)`", names):
                if word.endswith(".h"):
                    header = (SOURCE / "include/once" / word).read_text(encoding="utf-8")
                    # What is said there is not yet there.
                    header = re.sub(r"//.*", "", header)
                    continue
                self.assertIsNotNone(header, number)
                *within, name = word.split("::")
                for outer in within:
                    head = r"^(?:class|struct) (?:\[\[nodiscard\]\] )?%s\b[^;{]*\{" % outer
                    block = re.search("(?ms)" + head + r"(.*?)^\};", header)
                    self.assertTrue(block, (number, word))
                    self.assertRegex(block[1], r"\b%s\b" % name, (number, word))
                self.assertRegex(header, r"\b%s\b" % name, (number, word))
            self.assertIsNotNone(header, number)

    def test_test_cases_are_in_their_files(self):
        for number, *_, tests in rows():
            found = re.findall(r'`((?:tests|examples)/[^`]+)`((?: "[^"]+")+)', tests)
            self.assertTrue(found, number)
            # Nothing is left that would not be looked for.
            self.assertEqual("; ".join("`%s`%s" % pair for pair in found), tests, number)
            for path, titles in found:
                there = cases(SOURCE / path)
                for title in re.findall(r'"([^"]+)"', titles):
                    self.assertIn(title, there, (number, path))

    def test_sections_are_in_their_documents(self):
        found = re.findall(r"`(docs/\w[\w-]*\.md)`((?:, \"[^\"]+\")*)",
                           features().replace("\n", " "))
        self.assertTrue(found)
        for path, titles in found:
            heads = {line.lstrip("# ").replace("`", "")
                     for line in (SOURCE / path).read_text(encoding="utf-8").splitlines()
                     if line.startswith("##")}
            for title in re.findall(r'"([^"]+)"', titles):
                self.assertIn(title, heads, path)

    @unittest.skipUnless(TOOL, "built without the tool")
    def test_the_tool_has_the_commands(self):
        helps = {}
        for number, _, _, commands, _ in rows():
            found = re.findall(r"`once ([^`]+)`", commands)
            self.assertTrue(found or commands == "—", number)
            for command in found:
                words = command.split()
                path = tuple(word for word in words if not word.startswith("--"))
                if path not in helps:
                    asked = subprocess.run([TOOL, *path, "--help"], stdout=subprocess.PIPE,
                                           text=True, timeout=120)
                    self.assertEqual(asked.returncode, 0, command)
                    helps[path] = asked.stdout
                self.assertRegex(helps[path], r"Usage: once %s\b" % " ".join(path))
                for option in words[len(path):]:
                    self.assertRegex(helps[path], r"(?m)^  (?:-\w,)?%s\b" % option, command)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
