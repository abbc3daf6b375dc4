"""From a request to the design of its plates: nothing is trained, so nothing that trains is loaded."""

from calib.data.study import Study
from calib.errors import CalibError
from calib.failures import in_one_sentence
from calib.plates.answer import Design
from calib.plates.design import look
from calib.plates.options import Request
from calib.registry import CONF, LOADER
from calib.runs.compositions import compositions
from calib.runs.loading import read
from calib.runs.run import check_settings


def read_study(request: Request) -> Study:
    """Return the study that a request names, with its values as in the file.

    Raises:
        CalibError: a setting or a file is wrong.
    """
    config = compositions(CONF).compose(*request.overrides, *request.settings, f"out='{request.folder}'")
    check_settings(config)
    with in_one_sentence(f"Reading study '{request.name}'"):
        return read(config.dataset, LOADER)


def check(request: Request) -> Design:
    """Return the design of the plates that a request names.

    Raises:
        CalibError: a setting or a file is wrong; or, with ``strict``, a finding is serious.
    """
    design = look(read_study(request), seed=request.seed)
    refuse_serious(request, design)
    return design


def refuse_serious(request: Request, design: Design) -> None:
    """Refuse a design with serious findings, where the request is strict.

    Raises:
        CalibError: as above.
    """
    serious = [one for one in design.findings if one.serious]
    if request.strict and serious:
        more = f" There are {len(serious) - 1} more serious findings." if len(serious) > 1 else ""
        raise CalibError(f"{serious[0].text} {serious[0].advice} ({serious[0].code}){more}")
