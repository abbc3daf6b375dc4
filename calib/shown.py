r"""What reaches a terminal or a log: no signs that steer a terminal, and no passwords of addresses.

Names of batches, classes, features, subjects and files come from files that somebody else may have written.
A name can hold the signs that move a terminal's cursor, change its title or colours, or turn the direction
of writing, and so hide or forge what is printed. Such signs are shown as Python writes them, as in ``\x1b``.
Line breaks that the program writes stay. An address can hold a password or a key, which ``***`` replaces.

Tables and records keep names as the files spell them; only what is shown is changed.
"""

import copy
import logging
import re
import sys
import traceback
import unicodedata
from collections.abc import Mapping
from types import TracebackType
from typing import Any

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of signs that are not shown as they are: control signs, signs of no width or of the
direction of writing, halves of signs (in file names that are no Unicode), separators of lines."""

HIDDEN = "***"
"""What stands in the place of a password."""

SCHEME = r"\b[a-z][a-z0-9+.-]{1,19}:/+"
"""The start of an address, also where a path has made its slashes one; a Windows path has a single letter."""

USER = re.compile(
    rf"""({SCHEME} | (?<![\w:/])//(?=[^\s/?\#]*:[^\s/?\#]*@))
    (?: [^\s/?\#]*@                                                # user:password@
      | (?!\[)[^\s/?\#:]*:(?!\d*(?:[/?\#\s]|$))\S{{0,1000}}@)      # the same with / ? # in the password""",
    re.IGNORECASE | re.VERBOSE,
)
"""An address up to its host, with what stands before the host."""

QUERY = re.compile(rf"""({SCHEME}[^\s?'"]{{0,1000}})(\?[^\s'"]*)""", re.IGNORECASE)
"""An address with its query."""

PART = re.compile(r"([?&;])([^=&;]*)(=?)[^&;]*")
"""A part of a query: its name and its value, or a value alone."""

LOOSE = re.compile(
    r"""([?&;][\w.-]{0,64}(?:token|sig|secret|passw|pwd|key|auth|cred|session)[\w.-]{0,64}=)[^\s&;'"]+""",
    re.IGNORECASE,
)
"""A key in a query whose address is not there, as in the messages of ``requests``."""


def one_line(value: object) -> str:
    """Return a text, such as a name, as it may be shown within a line, line breaks and tabs spelled out."""
    return _spelled(without_passwords(str(value)), kept="")


def lines(text: str) -> str:
    """Return a text of several lines as it may be shown."""
    return _spelled(without_passwords(text), kept="\n\t")


def _spelled(text: str, kept: str) -> str:
    """Return a text with each sign that steers a terminal spelled out, but for those in ``kept``."""
    if text.isprintable():
        return text
    return "".join(
        sign.encode("unicode_escape").decode()
        if unicodedata.category(sign) in STEERING and sign not in kept
        else sign
        for sign in text
    )


def without_passwords(value: Any) -> Any:
    """Return a text, or settings in nested dictionaries and lists, with passwords of addresses hidden.

    Of an address these are the user and password before the host (``https://user:password@host``), and the
    values of its query, in which keys, tokens and signatures are given (``?token=...``).
    """
    if isinstance(value, str):
        public = QUERY.sub(_without_values, USER.sub(rf"\1{HIDDEN}@", value))
        return LOOSE.sub(rf"\1{HIDDEN}", public)
    if isinstance(value, Mapping):
        return {without_passwords(key): without_passwords(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_passwords(inner) for inner in value]
    return value


def _without_values(found: re.Match[str]) -> str:
    """Return an address without the values of its query."""
    return found[1] + PART.sub(
        lambda part: part[1] + (f"{part[2]}={HIDDEN}" if part[3] else HIDDEN if part[2] else ""), found[2]
    )


class ShownFormatter(logging.Formatter):
    """The formatter of every handler that this project sets up.

    The arguments of a log line are names and numbers, so a line break in one of them is spelled out; those of
    the message itself stay.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a log line as it may be shown."""
        safe = copy.copy(record)
        if isinstance(record.args, Mapping):
            safe.args = {key: _argument(value) for key, value in record.args.items()}
        else:
            safe.args = tuple(map(_argument, record.args or ()))
        return lines(super().format(safe))


def _argument(value: object) -> object:
    """Return an argument of a log line: a number as it is, anything else as the text of one line."""
    return value if hasattr(value, "__float__") else one_line(value)


def terminal_handler() -> logging.Handler:
    """Return a handler of log lines that writes them to the standard error output."""
    handler = logging.StreamHandler()
    handler.setFormatter(ShownFormatter())
    return handler


class LastResort(logging.Handler):
    """Shows this package's warnings where nobody has set up logging, as Python's own of this name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(ShownFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log line to the standard error output if no other handler gets it."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger:
            if any(handler is not self for handler in logger.handlers):
                return
            logger = logger.parent if logger.propagate else None
        try:
            sys.stderr.write(f"{self.format(record)}\n")
        except Exception:  # as Python's handlers do
            self.handleError(record)


logging.getLogger("calib").addHandler(LastResort())


def say(*texts: object) -> None:
    """Write each text as one line to the standard output."""
    sys.stdout.write("".join(f"{one_line(text)}\n" for text in texts))


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write the traceback of an error that nobody caught, as ``sys.excepthook``."""
    sys.stderr.write(lines("".join(traceback.format_exception(kind, error, trace))))
