"""The documentation against the code: generated page, links, examples, names of datasets."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import kmc_oxy
from kmc_oxy import inputs
from kmc_oxy.api.api_reference import api_markdown
from kmc_oxy.cli.parser import parse
from kmc_oxy.execution.output_assembly import COORDINATES, WALL_TIME
from kmc_oxy.fit.fit_file import FitFile
from kmc_oxy.fit.fit_reference import updated
from kmc_oxy.inputs.input_reference import reference_markdown
from kmc_oxy.protocol.recorded_quantities import OBSERVABLES
from kmc_oxy.storage import open_output

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
#: Everything that tells a user what to type.
TEXTS = [*PAGES, *sorted((ROOT / "inputs").glob("*.yaml")), *sorted(ROOT.glob("scripts/**/*.sh"))]
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)


def by_name(page):
    return str(page.relative_to(ROOT))


def prose(text):
    """A page without its code, where a bracket is no link."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page):
    """Anchors of the headings of a page, as mkdocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in headings
    }


def blocks(language, pages=PAGES):
    """Code blocks of a language, with the page and line where they begin."""
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            if found[1] == language:
                line = text.count("\n", 0, found.start()) + 2
                yield pytest.param(found[2], id=f"{by_name(page)}:{line}")


def test_input_page_is_what_the_schema_says():
    """`make docs` writes it anew."""
    assert (DOCS / "input.md").read_text(encoding="utf-8") == reference_markdown()


def test_python_page_is_what_the_docstrings_say():
    """`make docs` writes it anew."""
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert page == api_markdown()
    for name in set(kmc_oxy.__all__) - {"__version__"}:
        assert f"## `kmc_oxy.{name}`\n" in page, name
    for name in ("dataset", "leg", "plot", "report", "input"):
        assert f"### `Result.{name}`\n" in page


def test_tables_of_the_fitting_page_are_what_the_schema_says():
    """`make docs` writes them anew."""
    page = (DOCS / "fitting.md").read_text(encoding="utf-8")
    assert page == updated(page)
    for name in ("evaluations", "magnetoresistance"):
        assert f"| `{name}` | " in page


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_relative_links_resolve(page):
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{by_name(page)} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{by_name(page)} links to {target}"


@pytest.mark.parametrize("text", TEXTS, ids=by_name)
def test_files_that_are_named_exist(text):
    named = re.findall(
        r"(?<![\w/.$])(?:kmc_oxy|cython_ext|docs|inputs|scripts|tests)/[\w*./-]*\w",
        text.read_text(encoding="utf-8"),
    )
    assert [name for name in named if not any(ROOT.glob(name))] == []


def command_lines():
    """Arguments of every `kmc-oxy` command in the code of a page or the comments of an input."""
    for text in TEXTS:
        if text.suffix == ".sh":  # shell variables; tests/mpi runs these
            continue
        for number, line in enumerate(text.read_text(encoding="utf-8").splitlines(), 1):
            found = re.match(r"(?:#? {4}|\$ )(?:[^`#]*[ /])?(?:kmc-oxy|-m kmc_oxy) (\w.*)", line)
            if found:
                yield pytest.param(found[1], id=f"{by_name(text)}:{number}")


@pytest.mark.parametrize("line", list(command_lines()))
def test_commands_are_accepted(line):
    """By the parser of the command line: no command or option that there is not."""
    parse(shlex.split(line, comments=True))


def test_there_are_commands_to_check():
    assert len(list(command_lines())) > 40


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_blocks_compile(code):
    compile(code, "<block>", "exec")


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_yaml_blocks_are_valid_inputs(text):
    """An input that is meant to be refused stands in a block of plain text."""
    if re.search("^experiments:", text, re.M):
        FitFile.model_validate(yaml.safe_load(text))
    else:
        inputs.loads(text)


def test_there_are_blocks_to_check():
    assert len(list(blocks("python", [DOCS / "tutorial.md"]))) >= 4
    assert len(list(blocks("yaml", [DOCS / "tutorial.md"]))) >= 2


def diffs():
    """File and body of each part of the diffs of docs/extending.md."""
    for found in FENCE.finditer((DOCS / "extending.md").read_text(encoding="utf-8")):
        if found[1] == "diff":
            for part in re.split(r"^--- .*\n\+\+\+ b/", found[2], flags=re.M)[1:]:
                name, _, body = part.partition("\n")
                yield name, body


def test_diffs_of_the_extending_page_fit_the_code():
    """The unchanged lines of every hunk stand in the file, together and once."""
    changed = list(diffs())
    assert len(changed) == 7
    for name, body in changed:
        assert not re.search("^-", body, re.M), f"{name}: a line is removed"
        path = ROOT / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for hunk in body.split("@@\n")[1:]:
            kept = [line[1:] for line in hunk.splitlines() if not line.startswith("+")]
            assert not kept or text.count("\n".join(kept)) == 1, f"{name}: {kept}"


def test_output_page_names_every_dataset():
    text = (DOCS / "output.md").read_text(encoding="utf-8")
    for item in (*OBSERVABLES, *COORDINATES, WALL_TIME):
        row = re.search(rf"^\| [^|]*`{item.name}`.*$", text, re.M)
        assert row, f"{item.name} has no row in docs/output.md"


def test_output_page_names_what_a_run_writes(tmp_path):
    """Every dimension, dataset and root attribute of a small run, and each dataset's unit."""
    from kmc_oxy.cli import main

    source, output = tmp_path / "small.yaml", tmp_path / "small.h5"
    source.write_text(
        "device: {lattice: {nx: 4, ny: 4, organic_layers: 4, oxide_layers: 1}}\n"
        "conductance: {slab: 2 nm}\n"
        "protocol: [train: {voltage: 2 V, duration: 1 us, count: 2}]\n"
        "scan: {device.temperature: [76 K, 100 K]}\n"
        "ensemble: {members: 2, seed: 1}\n"
        "engine: {check_tolerance: true}\n"
    )
    assert main(["run", str(source), "-o", str(output), "-q"]) == 0
    text = (DOCS / "output.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    with open_output(output) as file:
        for name in [*file.attributes, *file.shape()]:
            assert any(f"`{name}`" in row.split("|")[1] for row in rows), name
        for name, dataset in file.file.items():
            if dataset.is_scale or name.startswith("scan:"):
                continue
            (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
            if not name.startswith("tolerance_error_"):
                assert row.split("|")[3].strip() == dataset.attrs["units"], name


def rooms():
    """Folders and their modules, in the order of the table of docs/architecture.md."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+)` \|([^|]*)\|[^|]*\|$", text.split("## Rooms")[1], re.M)
    return [
        (folder.removeprefix("kmc_oxy").strip("/"), re.findall(r"`([a-z]\w*)`", names))
        for folder, names in rows
    ]


def imported(tree):
    """Parts of every name of the package that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".") for name in names if name.startswith("kmc_oxy."))


def test_architecture_page_lists_every_module():
    listed = {f"{folder}/{name}".strip("/") for folder, names in rooms() for name in names}
    package = ROOT / "kmc_oxy"
    modules = {
        str(path.relative_to(package).with_suffix("")) for path in package.rglob("[a-z]*.py")
    }
    assert listed == modules


def test_no_room_imports_a_later_one():
    """The order of docs/architecture.md is the order of the code, and rooms have one door."""
    order = list(dict.fromkeys(folder.partition("/")[0] for folder, _ in rooms()))
    for path in (ROOT / "kmc_oxy").rglob("*.py"):
        room = path.relative_to(ROOT / "kmc_oxy").parent.parts
        if not room:
            continue
        for _, *parts in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if not parts or parts[0] not in order or parts[0] == room[0]:
                continue
            assert order.index(parts[0]) < order.index(room[0]), f"{path} imports {parts}"
            *folder, name = map(str, parts)
            assert (ROOT / "kmc_oxy" / Path(*folder) / "__init__.py").exists(), f"{path}: {parts}"
            door = importlib.import_module(".".join(["kmc_oxy", *folder]))
            assert not folder or name in door.__all__, f"{path} imports {parts}"


def test_every_page_is_in_the_navigation():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(yaml.safe_load(config)["nav"])
    assert listed == {page.name for page in DOCS.glob("*.md")}


@pytest.mark.slow
def test_site_builds_strictly(tmp_path):
    """Without warnings, every formula as MathML, and nothing fetched from the network."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("latex2mathml")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert "arithmatex" not in html, page
        # What the converter does not know, it leaves as it is.
        assert re.findall(r"<m[iot][^>]*>(?:&amp;|&|\\)<", html) == [], page
        fetched = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', html)
        assert fetched == [], page
    assert "<math" in (tmp_path / "theory" / "index.html").read_text(encoding="utf-8")


def test_every_promise_about_failing_runs_has_its_test():
    text = (DOCS / "failures.md").read_text(encoding="utf-8")
    named = re.findall(r"`(T|tests)(/[\w/]+\.py)::(\w+)` \|$", text, re.M)
    assert len(named) == text.count("\n| ") - 1 > 15
    for folder, path, name in named:
        source = (ROOT / ("tests/unit" if folder == "T" else "tests")).joinpath(path[1:])
        assert f"def {name}(" in source.read_text(encoding="utf-8"), f"{path}::{name}"


def test_readme_of_the_inputs_lists_every_input():
    text = (ROOT / "inputs/README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(.+)\]\((.+)\) \| .+ \|$", text, re.M)
    assert all(name == target for name, target in listed)
    assert {name for name, _ in listed} == {p.name for p in (ROOT / "inputs").glob("*.yaml")}
