"""Write the software bill of materials of calib and all its extras, in the form of CycloneDX 1.6.

The components are the packages of requirements.lock with the SHA-256 of their files. Licences, and what needs
what, are read from the installed packages (scripts/dependencies.py). The same lock gives the same bytes.

  python scripts/sbom.py dist/calib-omics.cdx.json
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from dependencies import EXTRAS, PROJECT, ROOT, comes_with, licences, needed, pins, reached
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import calib
from calib.errors import CalibError
from calib.failures import command
from calib.files import write_whole
from calib.shown import say

LOCK = ROOT / "requirements.lock"


def hashes() -> dict[str, tuple[str, list[str]]]:
    """Return by package the version and the SHA-256 of each of its files, from ``requirements.lock``.

    Raises:
        CalibError: the lock is not that of ``constraints.txt``.
    """
    entries = re.findall(
        r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$",
        LOCK.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    found = {
        canonicalize_name(name): (version, re.findall(r"sha256:([0-9a-f]{64})", files))
        for name, version, files in entries
    }
    if {name: version for name, (version, _) in found.items()} != {n: v for n, (_, v) in pins().items()}:
        raise CalibError("requirements.lock is not that of constraints.txt; run python scripts/lock.py.")
    return found


def component(name: str, version: str, files: Sequence[str], licence: str) -> Component:
    """Return a package as a component, with the SHA-256 of each of its files in the index."""
    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        purl=purl,
        licenses=[LicenseFactory().make_from_string(licence)],
        properties=[Property(name="calib:comes-with", value=comes_with(name))],
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(str(purl)),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in files],
            )
        ],
    )


def bill() -> Bom:
    """Return the bill: calib, its pinned packages, and which needs which."""
    known = licences()
    own = Component(
        name=PROJECT["name"],
        version=calib.__version__,
        type=ComponentType.APPLICATION,
        bom_ref=PROJECT["name"],
        purl=PackageURL("pypi", name=PROJECT["name"], version=calib.__version__),
        licenses=[LicenseFactory().make_from_string(PROJECT["license"])],
    )
    parts: Mapping[str, Component] = {
        name: component(name, version, files, known[name]) for name, (version, files) in hashes().items()
    }
    made = Bom(
        components=parts.values(), serial_number=uuid5(NAMESPACE_URL, LOCK.read_text(encoding="utf-8"))
    )
    made.metadata.component = own
    direct = {canonicalize_name(Requirement(line).name) for lines in EXTRAS.values() for line in lines}
    made.register_dependency(own, [parts[name] for name in sorted(direct & parts.keys())])
    wanted = frozenset[tuple[str, str]]().union(*map(reached, EXTRAS))
    for name, part in parts.items():
        needs = {other for each, extra in wanted if each == name for other, _ in needed(each, extra)}
        made.register_dependency(part, [parts[other] for other in sorted(needs - {name})])
    return made


def written() -> str:
    """Return the bill as text, without the time at which it was made."""
    made = bill()
    made.metadata.timestamp = None
    return str(JsonV1Dot6(made).output_as_string(indent=1)) + "\n"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("file", type=Path, help="the file to write")
    return made


if __name__ == "__main__":
    with command():
        out = parser().parse_args().file
        out.parent.mkdir(parents=True, exist_ok=True)
        text = written()
        write_whole(out, lambda file: file.write_text(text, encoding="utf-8"))
        say(f"{out}: {len(pins())} packages")
