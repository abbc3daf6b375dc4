"""Class probabilities for a file of samples: calib predict run=<dir> data=<file>.

run         directory of a run made with save_model=true
data        CSV, TSV, Parquet or h5ad with the features of the run's study
only        batch to predict, or several separated by commas; default: all that the file has
out         file to write, default predictions_<data>.csv; predictions of subjects go to a file beside it
statistics  which batch norms use the new batch's own mean and variance: as_trained (none) | calibrator | both
temperature number by which the logarithms of the probabilities are divided, such as 2; or the
            predictions.csv of runs that left a source out, separated by commas, to fit it on that source.
            Columns calibrated_<class> then stand beside p_<class>, and abstain= goes by them
abstain     least probability of an answer, such as 0.8: a column "answer" holds the predicted class, or
            "abstained" if that class is less probable
batch, label, subject, sample, layer   names of columns, where they differ from those of the run's study;
            an empty one (label=) reads no such column
"""

import sys

from calib.failures import command
from calib.shown import say


def main(arguments: list[str]) -> None:
    """Predict the samples of a file and write the predictions, as the options say.

    Raises:
        CalibError: an option, the model or the file is wrong.
    """
    if not arguments or set(arguments) & {"-h", "--help"}:
        say(*str(__doc__).splitlines())
        return
    from calib.commands.predictions import carry_out

    carry_out(arguments)


def command_line() -> None:
    """Do as the arguments of the command say."""
    with command():
        main(sys.argv[1:])
