"""Writes the N-th C++ program of a Markdown file to a file: extract.py README.md N OUTPUT.

A program is a ```cpp block with `int main` in it; other blocks are fragments.
"""

import pathlib
import re
import sys


def programs(markdown):
    blocks = re.findall(r"^```cpp\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "int main" in block]


if __name__ == "__main__":
    source, number, output = sys.argv[1:]
    found = programs(pathlib.Path(source).read_text(encoding="utf-8"))
    pathlib.Path(output).write_text(found[int(number) - 1], encoding="utf-8")
