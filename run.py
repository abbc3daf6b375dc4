"""One experiment from the command line; ``python run.py --help`` lists every setting."""

from pathlib import Path

from calib.commands.run import carry_out
from calib.runs.cli import main

if __name__ == "__main__":
    main(carry_out, conf=Path(__file__).resolve().parent / "conf")
