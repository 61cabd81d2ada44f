"""Texts of scanned keys and of conductances, for labels and tables."""

from __future__ import annotations

from matplotlib.ticker import EngFormatter

from kmc_oxy.storage import OutputFile

#: A longer text of a scanned key is a section of the input: its values are numbered instead.
LONGEST_VALUE = 24


def siemens_text(conductance_S: float) -> str:
    """A conductance to three digits, with a prefix: ``4.35 nS``."""
    return str(EngFormatter(unit="S")(float(f"{conductance_S:.3g}")))


def short_name(key: str) -> str:
    """The end of a dotted key that names it: ``train.duration`` of a step, else the last part."""
    parts = key.split(".")
    return ".".join(parts[-2:]) if parts[0] == "protocol" else parts[-1]


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
