"""Texts of scanned keys and of conductances, for labels and tables."""

from __future__ import annotations

import math

from matplotlib.ticker import EngFormatter

from kmc_oxy.storage import OutputFile

#: A longer text of a scanned key is a section of the input: its values are numbered instead.
LONGEST_VALUE = 24


def short_quantity(value: float, unit: str = "S") -> str:
    """A value to three digits, with a prefix: ``4.35 nS``."""
    rounded = float(f"{value:.3g}")
    return str(EngFormatter(unit=unit)(rounded)) if math.isfinite(rounded) else str(rounded)


def short_names(file: OutputFile) -> dict[str, str]:
    """The scanned keys by the end that names them: ``train.duration`` or the last part.

    Keys with the same end keep their whole name.
    """
    ends = {}
    for key in file.scan():
        parts = key.split(".")
        ends[key] = ".".join(parts[-2:]) if parts[0] == "protocol" else parts[-1]
    shared = [*ends.values()]
    return {key: end if shared.count(end) == 1 else key for key, end in ends.items()}


def axis_label(file: OutputFile, key: str) -> str:
    """The short name of a scanned key with its unit, for an axis."""
    unit = str(file[f"scan:{key}"].attrs["units"])
    return short_names(file)[key] + (f" ({unit})" if unit != "1" else "")


def point_texts(file: OutputFile) -> list[str]:
    """A name of each point of the scan: ``temperature 76 K, train.duration 1 ms``."""
    names = short_names(file)
    columns = [[f"{names[key]} {text}" for text in scanned_texts(file, key)] for key in names]
    return [", ".join(parts) for parts in zip(*columns, strict=True)]


def scanned_texts(file: OutputFile, key: str) -> list[str]:
    """Value of a scanned key at each point, with its unit; sections of the input by number."""
    values, unit = file.scan()[key], str(file[f"scan:{key}"].attrs["units"])
    if values.dtype.kind == "f":
        written = EngFormatter(unit=unit, places=None)
        return [f"{value:g}" if unit == "1" else written(value) for value in values]
    variants = {text: number for number, text in enumerate(dict.fromkeys(values), start=1)}
    if max(map(len, variants)) > LONGEST_VALUE:
        return [f"variant {variants[text]}" for text in values]
    return [str(text) for text in values]
