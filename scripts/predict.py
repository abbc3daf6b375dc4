"""Class probabilities for a file of samples: python scripts/predict.py run=<dir> data=<file>.

run         directory of a run made with save_model=true
data        CSV, TSV, Parquet or h5ad with the features of the run's study
out         file to write, default predictions_<data>.csv; subjects go to a second file beside it
statistics  batch norms that use the new batch's own mean and variance: as_trained | calibrator | both
batch, label, subject, sample, layer   names of columns, where they are not those of the run's study
"""

import logging
import sys
from pathlib import Path

from calib.errors import CalibError, nearest
from calib.evaluation.metrics import score
from calib.predict import COLUMNS, predict
from calib.predictions import predictions, subject_predictions
from calib.store import Record

OPTIONS = ("run", "data", "out", "statistics", *COLUMNS, "layer")


def main(arguments: list[str]) -> None:
    """Follow the options."""
    if not arguments or set(arguments) & {"-h", "--help"}:
        print(__doc__)
        return
    options = dict(argument.partition("=")[::2] for argument in arguments)
    for key in options:
        if key not in OPTIONS:
            raise CalibError(
                f"There is no option '{key}'{nearest(key, OPTIONS)} See scripts/predict.py --help."
            )
    for key in ("run", "data"):
        if not options.get(key):
            raise CalibError(f"The option {key}= is missing; see scripts/predict.py --help.")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = Path(options["data"])
    columns = {key: options[key] for key in (*COLUMNS, "layer") if key in options}
    statistics = options.get("statistics", "as_trained")
    result = predict(Path(options["run"]), data, statistics, **columns)

    out = Path(options.get("out", f"predictions_{data.stem}.csv"))
    samples = predictions(result.study, result.probability)
    subjects = subject_predictions(result.study, result.probability)
    folder = Record(out.parent)
    folder.write_table(out.name, samples, digits=8)
    print(f"{out}: {len(samples)} samples")
    if len(subjects):
        folder.write_table(f"{out.stem}_subjects{out.suffix}", subjects, digits=8)
        print(f"{out.with_stem(out.stem + '_subjects')}: {len(subjects)} subjects")
    for name, batch in result.study.batches.items():
        if batch.y is not None:
            found = score(result.probability[name], batch.y)
            shown = ", ".join(f"{metric} {value:.3f}" for metric, value in found.items() if value is not None)
            print(f"Batch {name}, whose labels are known: {shown}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CalibError as error:
        sys.exit(f"Error: {error}")
