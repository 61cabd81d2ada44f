"""Reader of a strict subset of YAML 1.2 that records the place of every value.

PyYAML by itself reads ``1e13`` as text, ``012`` as ten and ``yes`` as true, and takes the last of
two equal keys. Here scalars follow the core schema of YAML 1.2. Duplicate keys, aliases, merge
keys and tags are errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from kmc_oxy.inputs.schema import Location

MAX_BYTES = 250_000
MAX_NODES = 60_000  #: keys, values, mappings and lists; PyYAML takes up to 40 us for each
MAX_DEPTH = 60
MAX_DIGITS = 300


class Mark(NamedTuple):
    """A place in the text, both counted from 1."""

    line: int
    column: int


@dataclass
class Document:
    """A parsed text: its data and the place of each part."""

    data: Any = None
    keys: dict[Location, Mark] = field(default_factory=dict)  #: places of keys
    values: dict[Location, Mark] = field(default_factory=dict)  #: places of values
    scalars: dict[Location, str] = field(default_factory=dict)  #: as written
    faults: list[tuple[Mark, Location, str]] = field(default_factory=list)

    def mark(self, location: Location, *, of_key: bool = False) -> Mark:
        """Place of a value, or of the smallest part of the text around it.

        A mapping or list has the place of its key, since it may begin on a later line.

        Parameters
        ----------
        location : Location
        of_key : bool
            Whether to return the place of the key instead.

        Returns
        -------
        Mark
        """
        while location and location not in self.values:
            location = location[:-1]
            of_key = True
        if location in self.keys and (of_key or location not in self.scalars):
            return self.keys[location]
        return self.values.get(location, Mark(1, 1))


class _Loader(yaml.SafeLoader):
    """Composes nodes only; the resolvers are those of the core schema of YAML 1.2."""

    # A class variable of PyYAML, which its stubs declare as an attribute.
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _error("anchors and aliases (&, *) are not accepted; write the value out", event)
        if event.tag not in (None, "!"):
            raise _error("tags (!) are not accepted", event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _error(f"more than {MAX_NODES} keys and values", event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _error(f"nested more than {MAX_DEPTH} levels deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_TAG = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT = _TAG + "null", _TAG + "bool", _TAG + "int", _TAG + "float"
for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        _FLOAT,
        r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


# PyYAML takes these for line breaks and editors do not: all places after them would be wrong.
_OTHER_BREAK = re.compile("[\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _error(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def decode(raw: bytes) -> str:
    """Decode the text of a file.

    Parameters
    ----------
    raw : bytes

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the file is too long or not UTF-8.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(f"is longer than {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise ValueError(f"is not UTF-8 text (byte 0x{byte:02x} in line {line})") from None


def read(text: str) -> Document:
    """Parse one document.

    Parameters
    ----------
    text : str

    Returns
    -------
    Document
        Errors of the text are in its `faults`; none is raised.
    """
    document = Document()
    if len(text) > MAX_BYTES:
        document.faults.append((Mark(1, 1), (), f"longer than {MAX_BYTES} characters"))
        return document
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    other_break = _OTHER_BREAK.search(text)
    if other_break:
        what = f"a line break other than a newline (U+{ord(other_break[0]):04X})"
        document.faults.append((_place(text, other_break.start()), (), what))
        return document
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.faults.append((_mark(mark) if mark else Mark(1, 1), (), _explain(error)))
    except yaml.reader.ReaderError as error:
        place = _place(text, error.position)
        what = f"a character that YAML does not allow (U+{ord(text[error.position]):04X})"
        document.faults.append((place, (), what))
    except (ValueError, OverflowError) as error:
        # PyYAML converts escapes and directives without a check of their range.
        document.faults.append((Mark(1, 1), (), f"not YAML: {str(error)[:80]}"))
    else:
        if node is None:
            document.faults.append((Mark(1, 1), (), "the text is empty"))
        else:
            document.values[()] = _mark(node.start_mark)
            document.data = _construct(document, node, ())
    return document


def _place(text: str, position: int) -> Mark:
    return Mark(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return "a tab; indent with spaces"
    if problem == "but found another document":
        return "a second document (---); one file holds one input"
    return f"{error.context}, {problem}" if error.context else problem


def _construct(document: Document, node: yaml.Node, location: Location) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _construct_mapping(document, node, location)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            here = (*location, index)
            document.values[here] = _mark(item.start_mark)
            items.append(_construct(document, item, here))
        return items
    document.scalars[location] = node.value
    if _SURROGATE.search(node.value):
        what = "half a character (an escape from \\uD800 to \\uDFFF)"
        document.faults.append((_mark(node.start_mark), location, what))
        return ""
    return _construct_scalar(document, node, location)


def _construct_mapping(
    document: Document, node: yaml.MappingNode, location: Location
) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = _mark(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            document.faults.append((place, location, "a key must be text, not a list or a mapping"))
            continue
        key = key_node.value
        here = (*location, key)
        if key == "<<" and key_node.style is None:
            document.faults.append((place, location, "merge keys (<<) are not accepted"))
        elif key_node.tag != _TAG + "str":
            what = f"a key must be text (got {key[:30] or 'nothing'})"
            document.faults.append((place, location, what))
        elif _SURROGATE.search(key):
            document.faults.append((place, location, "a key with half a character in it"))
        elif key in mapping:
            what = f"given twice (first in line {document.keys[here].line})"
            document.faults.append((place, here, what))
        else:
            document.keys[here] = place
            document.values[here] = _mark(value_node.start_mark)
            mapping[key] = _construct(document, value_node, here)
    return mapping


def _construct_scalar(document: Document, node: yaml.Node, location: Location) -> Any:
    text: str = node.value
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return text.lower() == "true"
    if node.tag not in (_INT, _FLOAT):
        return text
    if len(text) > MAX_DIGITS:
        what = f"a number of {len(text)} characters"
        document.faults.append((_mark(node.start_mark), location, what))
        return 0
    if node.tag == _INT:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    # The schema refuses .inf and .nan, with the name of the key.
    return float(text.replace(".", "") if text[-1].isalpha() else text)
