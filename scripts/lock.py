"""Renew requirements.lock: the SHA-256 of every file of every version in constraints.txt, for pip.

The Python Package Index lists these checksums, so no package is downloaded but uv, which asks for them; it is
installed into a temporary environment. Run it after every change of constraints.txt; a test compares the two.

  python scripts/lock.py
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from calib.failures import command
from calib.files import write_whole
from calib.shown import say

ROOT = Path(__file__).resolve().parent.parent
PINS, LOCK = ROOT / "constraints.txt", ROOT / "requirements.lock"
UV = "uv==0.13.9"

HEADER = """\
# The versions of constraints.txt with the SHA-256 of their files on the Python Package Index.
# python scripts/lock.py makes this file. To install by it:
#   pip install --require-hashes -r requirements.lock
#   pip install --no-deps --no-build-isolation -e .
# On Linux first install torch from PyTorch's CPU index (docs/commands.md). Its file is none of those below,
# and pip leaves it as it is, without comparing it. PyPI's torch for Linux would need CUDA packages, which
# are not listed here.
"""


def uv(*arguments: str | Path) -> str:
    """Return what uv prints, from a temporary environment.

    Raises:
        CalledProcessError: uv cannot be installed, or fails.
    """
    public = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, "Scripts" if os.name == "nt" else "bin")
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", UV], check=True)
        done = subprocess.run(
            [programs / "uv", *arguments, "--no-config", "--quiet"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=public,
        )
    return done.stdout


def pinned(form: str, *options: str) -> str:
    """Return the versions of ``constraints.txt`` as uv finds them in the index, in one of its forms.

    Args:
        form: ``requirements.txt``, or ``pylock.toml``, which has sizes as well.
        options: more options of ``uv pip compile``.
    """
    fixed = ("--universal", "--python-version=3.11", "--no-deps", "--no-header", f"--format={form}")
    return uv("pip", "compile", *fixed, *options, PINS)


def locked() -> str:
    """Return the versions of ``constraints.txt`` with their checksums, in pip's format.

    Raises:
        CalledProcessError: uv cannot be installed, or finds no such version.
    """
    return pinned("requirements.txt", "--generate-hashes", "--no-annotate")


def main() -> None:
    """Write the file."""
    text = HEADER + locked()
    write_whole(LOCK, lambda file: file.write_text(text, encoding="utf-8"))
    say(f"{LOCK.name}: {text.count('==')} packages, {text.count('--hash=')} files")


if __name__ == "__main__":
    with command():
        try:
            main()
        except subprocess.CalledProcessError as error:
            sys.exit(f"Error: {Path(error.cmd[0]).name} failed; {LOCK.name} is as it was.")
