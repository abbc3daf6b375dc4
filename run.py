"""One experiment from the command line; ``python run.py --help`` lists every setting."""

from pathlib import Path

from calib.runs.cli import main
from calib.runs.experiment import run

if __name__ == "__main__":
    main(run, conf=Path(__file__).resolve().parent / "conf")
