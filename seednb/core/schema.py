"""What a parameter may be: type, unit, range and choices; and the message for anything else.

Not pydantic: it reports the one bound that was crossed, without the range or the value, and takes
neither a list for a tuple nor 2e-6 as YAML reads it unless told, so each check would be a translation.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import Field, field, fields
from difflib import get_close_matches
from math import inf
from reprlib import Repr
from types import NoneType
from typing import Any, get_args, get_type_hints

from seednb.core.errors import SeedError

LARGEST = 2**63  # whole numbers end there in tables and random generators


def knob(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    is_path: bool = False,
) -> Any:
    """A parameter: its default, its meaning, and what it may be.

    `is_path`: relative to the profile's root or, on the command line, to the working directory.
    """
    bounds = {"low": low, "high": high, "choices": choices}
    details = {"meaning": meaning, "unit": unit, "is_path": is_path, **bounds}
    return field(default=default, metadata=details)


class Section:
    """Base of a section of parameters: checks types and ranges when an instance is made."""

    def __post_init__(self) -> None:
        """Raise SeedError for the first field whose value is not allowed."""
        hints = get_type_hints(type(self))
        for item in fields(self):  # type: ignore[arg-type]
            value = _coerce(item.name, getattr(self, item.name), hints[item.name])
            object.__setattr__(self, item.name, value)  # the sections are frozen
            _check_range(item, value)


def shown(value: Any) -> str:
    """A value for a message, cut short: YAML's aliases write a billion items in ten lines."""
    brief = Repr()
    brief.maxlevel, brief.maxstring, brief.maxother = 2, 80, 80
    try:
        return brief.repr(value)
    except ValueError:  # Python prints no number of more than 4300 digits
        return f"a number of {value.bit_length()} bits"


def suggestion(key: str, known: Iterable[str]) -> str:
    """ " (did you mean 'n_pairs'?)" if something known is spelled much like the key, else ""."""
    close = get_close_matches(key, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def allowed(item: Field[Any]) -> str:
    """ "pad | crop", "at least 1", "in [0, 1]", or "" where anything of the type is allowed."""
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    if choices:
        return " | ".join(choices)
    if low is None and high is None:
        return ""
    return f"at least {low}" if high is None else f"in [{low}, {high}]"


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """The value as its declared type; YAML lists become tuples, whole numbers may be floats.

    YAML 1.1 reads 2e-6 as text, so text that spells a number is taken as one.
    """
    options = get_args(hint) if NoneType in get_args(hint) else (hint,)
    if value is None and NoneType in options:
        return None
    wanted = options[0]
    if get_args(wanted):  # tuple[float, ...]
        if isinstance(value, list | tuple):
            return tuple(_coerce(name, item, float) for item in value)
    elif wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            return float(value)
    elif wanted is int and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) < LARGEST:
            return value
    elif isinstance(value, wanted) and wanted is not int:
        return value
    type_name = "list of numbers" if get_args(wanted) else wanted.__name__
    raise SeedError(f"{name}={shown(value)}: must be of type {type_name}")


def _check_range(item: Field[Any], value: Any) -> None:
    """Raise SeedError for a value outside its choices or range; NaN is outside of every range."""
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    if value is None or isinstance(value, str):
        if choices and value is not None and value not in choices:
            raise SeedError(f"{item.name}={shown(value)}: must be one of {', '.join(choices)}")
        return
    low, high = -inf if low is None else low, inf if high is None else high
    if not all(
        low <= number <= high for number in (value if isinstance(value, tuple) else [value])
    ):
        raise SeedError(f"{item.name}={shown(value)}: must be {allowed(item)}")
