"""The grids of conf/search: which settings a search tries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from json import dumps
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from calib.config import compose
from calib.errors import CalibError, check_choice

ABSENT = "absent"


@dataclass(frozen=True)
class Setting:
    """Values of some of a method's settings, by key, such as ``method.beta``."""

    values: Mapping[str, Any]

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides that set them all."""
        return tuple(f"{key}={_text(value)}" for key, value in self.values.items())

    def changes(self, published: "Setting") -> list[str]:
        """The overrides for those that are not the published ones."""
        pairs = zip(self.values.items(), self.overrides, strict=True)
        return [override for (key, value), override in pairs if value != published.values[key]]


def read_grid(conf: Path, name: str, given: Sequence[str]) -> tuple[list[Setting], Setting]:
    """The settings that ``conf/search/<name>.yaml`` lists, in Hydra's order, and the published one.

    The published one is added at the end where the grid lacks it.

    Args:
        given: overrides of the runs: study, method, protocol, and what else is set.

    Raises:
        CalibError: there is no such file, or it varies what the method does not have.
    """
    check_choice("search", name, sorted(file.stem for file in (conf / "search").glob("*.yaml")))
    file = OmegaConf.to_container(OmegaConf.load(conf / "search" / f"{name}.yaml"))
    assert isinstance(file, dict)
    params = file.pop("hydra", {}).get("sweeper", {}).get("params", {})
    if not params:
        raise CalibError(f"conf/search/{name}.yaml lists no values below hydra.sweeper.params.")
    keys = sorted({*params, *_leaves(file)})  # also those that follow a varied one
    config = compose(conf, *given)
    for key in keys:
        if not key.startswith("method."):
            raise CalibError(
                f"conf/search/{name}.yaml varies {key}; only settings of a method can be chosen."
            )
        if OmegaConf.select(config, key, default=ABSENT) == ABSENT:
            raise CalibError(
                f"search={name} varies {key}, which method={config.method.name} does not have; "
                "choose another method, or write a grid for it in conf/search/."
            )
    published = _values(config, keys)
    tied = compose(conf, *given, f"+search={name}")
    settings = [
        _values(OmegaConf.merge(tied, OmegaConf.from_dotlist(list(chosen))), keys)
        for chosen in _products(params)
    ]
    return [*settings, *([] if published in settings else [published])], published


def _products(params: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Every combination of the lists as overrides, in the order of Hydra's own sweeper."""
    lists = []
    for one in OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()]):
        values = one.sweep_string_iterator() if one.is_sweep_override() else [one.get_value_element_as_str()]
        lists.append([f"{one.get_key_element()}={value}" for value in values])
    return product(*lists)


def _values(config: DictConfig | ListConfig, keys: Sequence[str]) -> Setting:
    return Setting({key: OmegaConf.select(config, key) for key in keys})


def _leaves(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)
