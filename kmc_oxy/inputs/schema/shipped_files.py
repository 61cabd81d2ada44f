"""YAML files that ship with the package, by the name of their folder in `kmc_oxy/inputs`."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files


@cache
def shipped_names(folder: str) -> tuple[str, ...]:
    """Names of the files of a folder, without suffix, in alphabetical order."""
    found = files("kmc_oxy.inputs") / folder
    return tuple(sorted(p.name[:-5] for p in found.iterdir() if p.name.endswith(".yaml")))


@cache
def shipped_text(folder: str, name: str) -> str:
    """The text of a file: YAML that begins with a comment that describes it.

    Parameters
    ----------
    folder, name : str

    Raises
    ------
    ValueError
        If there is no such file; the message is for the user.
    """
    names = shipped_names(folder)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        question = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"must be one of {', '.join(names)}{question}")
    return (files("kmc_oxy.inputs") / folder / f"{name}.yaml").read_text(encoding="utf-8")


def description(text: str) -> str:
    """The comment at the beginning of a shipped file, up to its source, on one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#") or line.startswith("# Source"):
            break
        lines.append(line[1:].strip())
    return " ".join(lines)
