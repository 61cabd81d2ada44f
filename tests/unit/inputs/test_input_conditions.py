"""docs/input_conditions.md lists every ValueError of the physics, and names keys that exist."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kmc_oxy.inputs.schema import Input, sections_in

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"^\| `([\w.]+)` \| (.+) \| (.+) \|$", re.M)
ROWS = ROW.findall((ROOT / "docs" / "input_conditions.md").read_text(encoding="utf-8"))
SECTIONS = tuple(name for name in Input.model_fields if name not in ("protocol", "scan"))


def sites(node: ast.AST, name: str) -> Iterator[str]:
    """Where the code makes a ValueError, once for each."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            inner = f"{name}.{child.name}"
        if isinstance(child, ast.Call) and ast.unparse(child.func) == "ValueError":
            yield name
        yield from sites(child, inner)


def keys(model, prefix=""):
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in sections_in(field.annotation):
            if name not in ("protocol", "steps"):
                yield from keys(inner, f"{prefix}{name}.")


def test_every_value_error_of_the_physics_has_its_row():
    found = Counter(
        site
        for path in sorted((ROOT / "kmc_oxy" / "physics").glob("*.py"))
        for site in sites(ast.parse(path.read_text(encoding="utf-8")), path.stem)
    )
    assert found == Counter(where for where, _, _ in ROWS)


def test_keys_named_in_the_table_exist():
    known = set(keys(Input))
    named = [key for _, _, why in ROWS for key in re.findall(r"`([a-z_]+\.[a-z_.]+)`", why)]
    named = [key for key in named if key.startswith(SECTIONS)]
    assert len(named) > 30
    assert not set(named) - known
