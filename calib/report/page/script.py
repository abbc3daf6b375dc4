"""The script of every page, which sorts tables and shows tips, and the policy that lets it alone run."""

import base64
import hashlib
from importlib.resources import files

from markupsafe import Markup


def page_script() -> tuple[Markup, str]:
    """Return the content of the page's only script element, and the hash by which a policy names it.

    The hash is that of SHA-256 in base64, for ``script-src 'sha256-...'`` of a Content-Security-Policy.
    """
    source = files("calib.report.page").joinpath("page.js").read_text(encoding="utf-8")
    script = f"\n{source}"  # as the template writes it, after the line of the tag
    return Markup(script), base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
