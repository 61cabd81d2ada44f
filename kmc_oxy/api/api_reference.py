"""The reference page of the Python interface, generated from the docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import kmc_oxy

_INTRODUCTION = """\
# From Python

```python
import kmc_oxy

result = kmc_oxy.run("inputs/quickstart.yaml")
figure = result.plot()
```

The functions do what the commands of their names do: the same input gives the same datasets in the
same file, and an error has the text that the command line prints. `result.dataset` needs xarray,
and progress in a notebook is a bar if tqdm is there: `pip install "kmc_oxy[notebook]"`. Importing
`kmc_oxy` loads none of its libraries.

One value of a scan, one train, and all of it in one figure:

```python
data = result.dataset  # xarray: a dimension for each scanned key, units on everything
warm = data.conductance.sel(temperature=100)
train = result.leg("train")
result.report("quickstart.html")
```

This page is generated from the docstrings by `kmc_oxy.api.api_reference.api_markdown`.
"""
#: What users script against, in the order of the page; the parts of the engine come last.
_NAMES = (
    "run", "open", "Result", "validate", "presets", "InputError", "RunError",
    "Engine", "Landscape", "FilamentNetwork", "solve_crossbar",
)  # fmt: skip
_SECTION = re.compile(r"^([A-Z]\w+)\n-+\n", re.M)
#: Sections whose entries are a name and its description.
_LISTS = ("Parameters", "Attributes", "Returns", "Yields", "Raises")


def api_markdown() -> str:
    """Write the reference of every public name.

    Returns
    -------
    str
        A page in markdown: docs/api.md.
    """
    blocks = [_INTRODUCTION]
    for name in _NAMES:
        found = getattr(kmc_oxy, name)
        blocks.append(_block("##", f"kmc_oxy.{name}", name, found))
        if inspect.isclass(found) and not issubclass(found, Exception):
            for member, value in _members(found):
                blocks.append(_block("###", f"{name}.{member}", member, value))
    return "\n".join(blocks)


def _members(found: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class, in the order of its source."""
    for name, value in vars(found).items():
        if not name.startswith("_") and inspect.getdoc(value):
            yield name, value


def _block(level: str, title: str, name: str, found: Any) -> str:
    """Heading, signature and text of one name."""
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    text = _text(inspect.getdoc(found) or "")
    call = ""
    is_value = isinstance(found, (property, cached_property))
    if not is_value and not (inspect.isclass(found) and issubclass(found, Exception)):
        call = f"```text\n{name}{_signature(found)}\n```\n\n"
    return f"{level} `{title}`\n\n{call}{text}\n"


def _signature(found: Any) -> str:
    """Parameters with their defaults; their types stand in the text."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(found).parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    return str(inspect.Signature(parameters))


def _text(doc: str) -> str:
    """A docstring in numpydoc as markdown."""
    before, *parts = _SECTION.split(doc)
    blocks = [_prose(before)]
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        blocks.append(f"**{title}**\n\n{_list(body) if title in _LISTS else _prose(body)}")
    return "\n\n".join(blocks)


def _prose(text: str) -> str:
    return text.strip().replace("``", "`")


def _list(body: str) -> str:
    """Entries of a section: a name with its type, and below it, indented, what it is."""
    entries: list[tuple[str, list[str]]] = []
    for line in body.strip().splitlines():
        if line.startswith(" ") or not line:
            entries[-1][1].append(line.strip())
        else:
            entries.append((line, []))
    return "\n".join(
        f"- `{head}`" + (f": {_prose(' '.join(lines))}" if any(lines) else "")
        for head, lines in entries
    )
