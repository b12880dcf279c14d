"""Runs a program in a folder of its own, twice, since what README.md shows must bear a retry."""

import pathlib
import subprocess
import sys
import tempfile

program = pathlib.Path(sys.argv[1]).resolve()
with tempfile.TemporaryDirectory() as folder:
    for _ in range(2):
        subprocess.run([program], cwd=folder, check=True)
