import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from kmc_oxy._version import UNKNOWN_SOURCE
from kmc_oxy.storage import (
    Dataset,
    Identity,
    StoreError,
    WorkFolder,
    begin_or_resume,
    final_file,
    open_output,
    resuming,
    work_folder,
)

SOURCES = Path(__file__).parents[3] / "cython_ext"
SHAPE = {"point": 2, "member": 3, "row": 1, "column": 1, "reading": 4}


def identity(**changes):
    values = {
        "input_hash": "h",
        "seed": 3,
        "tasks": 6,
        "input_yaml": "protocol: 1\n",
        "resolved": "{}",
        "overrides": (),
    }
    return Identity(**{**values, **changes})


def complete(output, wanted=None):
    """A finished run with one dataset."""
    work = begin_or_resume(output, wanted or identity(), fresh=output.exists())
    with final_file(output, SHAPE) as file:
        file.create(
            Dataset("g", ("point", "member", "reading"), "S", "a conductance", missing=np.nan)
        )
        for point in range(2):
            for member in range(3):
                file.put("g", (point, member), np.arange(4.0 - point) + 10 * member)
        file.describe(work.manifest(), {"mpi_size": 1})
    work.remove()
    return output


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.h5"


def test_final_file_in_xarray(output):
    complete(output)
    with xarray.open_dataset(output) as data:
        assert data["g"].dims == ("point", "member", "reading")
        assert data.sizes == SHAPE
        assert data["g"].attrs["units"] == "S" and data["g"].attrs["long_name"] == "a conductance"
        np.testing.assert_array_equal(data["g"][0, 2], [20, 21, 22, 23])
        # A point with fewer readings leaves the rest missing.
        np.testing.assert_array_equal(data["g"][1, 1], [10, 11, 12, np.nan])
        assert data.attrs["complete"] == 1 and data.attrs["seed"] == 3
        assert data.attrs["input_yaml"] == "protocol: 1\n"
        assert "numpy" in json.loads(data.attrs["versions"])
    assert sorted(os.listdir(output.parent)) == ["out.h5"]


def test_long_inputs_fit_into_the_attributes(output):
    text = "# comment\n" * 20000
    complete(output, identity(input_yaml=text, resolved=json.dumps({"x": "y" * 200_000})))
    with open_output(output) as file:
        assert file.attributes["input_yaml"] == text
        assert len(file.resolved["x"]) == 200_000


def test_the_same_run_is_complete(output):
    complete(output)
    assert begin_or_resume(output, identity()) is None
    assert begin_or_resume(output, identity(seed=None)) is None
    assert not (output.parent / "out.h5.work").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_hash": "other"}, "another input.*--fresh"),
        ({"seed": 4}, "seed 3.*--fresh"),
    ],
)
def test_another_run_is_refused_until_fresh(output, change, message):
    complete(output)
    before = output.read_bytes()
    with pytest.raises(StoreError, match=message):
        begin_or_resume(output, identity(**change))
    assert sorted(os.listdir(output.parent)) == ["out.h5"]

    work = begin_or_resume(output, identity(**change), fresh=True)
    assert work is not None and output.read_bytes() == before
    work.release()
    # Interrupted here, the run goes on without --fresh and the old result is still there.
    work = begin_or_resume(output, identity(**change))
    assert work is not None and output.read_bytes() == before
    work.release()
    with pytest.raises(StoreError, match=r"another input|seed"):
        begin_or_resume(output, identity())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"input_hash": "other"}, "another input.*--fresh"), ({"seed": 4}, "seed 3.*--fresh")],
)
def test_a_run_in_progress_is_not_resumed_by_another(output, change, message):
    work = begin_or_resume(output, identity())
    work.save_task(0, {"x": 1})
    work.release()
    with pytest.raises(StoreError, match=message):
        begin_or_resume(output, identity(**change))
    work = begin_or_resume(output, identity())
    assert work.finished() == {0}
    work.release()


def test_a_drawn_seed_is_kept(output):
    work = begin_or_resume(output, identity(seed=None))
    seed = work.manifest().seed
    work.release()
    again = begin_or_resume(output, identity(seed=None))
    assert again.manifest().seed == seed >= 0
    again.release()
    other = begin_or_resume(output.with_name("b.h5"), identity(seed=None))
    assert other.manifest().seed != seed
    other.release()


def test_another_version_does_not_go_on(output, monkeypatch):
    begin_or_resume(output, identity()).release()
    monkeypatch.setattr(resuming, "__version__", "9.9")
    with pytest.raises(StoreError, match=r"begun by kmc_oxy .*this is 9\.9"):
        begin_or_resume(output, identity())


def test_another_kernel_of_the_same_version_does_not_go_on(output, monkeypatch):
    """Compiled from another source it may draw other random numbers."""
    began_with = resuming.KERNEL_SOURCE
    work = begin_or_resume(output, identity())
    work.save_task(0, {"x": 1})
    work.release()
    monkeypatch.setattr(resuming, "KERNEL_SOURCE", "other")
    with pytest.raises(StoreError, match=rf"source {began_with}, this is other.*--fresh"):
        begin_or_resume(output, identity())
    monkeypatch.setattr(resuming, "KERNEL_SOURCE", began_with)
    work = begin_or_resume(output, identity())
    assert work.finished() == {0}
    work.release()
    monkeypatch.setattr(resuming, "KERNEL_SOURCE", "other")
    work = begin_or_resume(output, identity(), fresh=True)
    assert work.manifest().kernel_source == "other" and work.finished() == set()
    work.release()


@pytest.mark.parametrize("what", ["__version__", "KERNEL_SOURCE"])
def test_a_complete_result_is_complete_for_a_newer_program(output, monkeypatch, what):
    complete(output)
    monkeypatch.setattr(resuming, what, "9.9")
    assert begin_or_resume(output, identity()) is None


@pytest.mark.parametrize("said", [True, False])
def test_the_final_file_tells_the_source_of_its_kernel(output, said):
    complete(output)
    with h5py.File(output, "r+") as file:
        versions = json.loads(file.attrs["versions"])
        if not said:  # as the first files were written
            del versions["kernel source"]
            file.attrs["versions"] = json.dumps(versions)
    with open_output(output) as file:
        found = file.manifest().kernel_source
    assert found == (resuming.KERNEL_SOURCE if said else UNKNOWN_SOURCE)


def test_the_kernel_says_what_it_was_compiled_from():
    """A digest of cython_ext; fails where the extensions are older than their source."""
    sources = sorted(SOURCES.glob("*/*.p[yx][xdi]"))
    if not sources or resuming.KERNEL_SOURCE == UNKNOWN_SOURCE:
        pytest.skip("no sources here, or extensions that setup.py did not make")
    assert {path.suffix for path in sources} == {".pyx", ".pxd", ".pxi"}
    digest = hashlib.sha256()
    for path in sources:
        name = path.relative_to(SOURCES)
        digest.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    assert digest.hexdigest().startswith(resuming.KERNEL_SOURCE)


def test_killed_between_the_rename_and_the_removal(output):
    work = begin_or_resume(output, identity())
    with final_file(output, SHAPE) as file:
        file.describe(work.manifest(), {"mpi_size": 1})
    work.release()
    assert work.exists() and output.exists()
    assert begin_or_resume(output, identity()) is None
    assert sorted(os.listdir(output.parent)) == ["out.h5"]


def test_killed_while_the_folder_was_removed(output):
    complete(output)
    work = WorkFolder(output)
    work.acquire()
    (work.path / "tasks").mkdir()
    work.release()
    assert begin_or_resume(output, identity()) is None


def test_two_runs_on_one_output(output):
    work = begin_or_resume(output, identity())
    with pytest.raises(StoreError, match="another run is writing"):
        begin_or_resume(output, identity())
    with pytest.raises(StoreError, match="another run is writing"):
        begin_or_resume(output, identity(), fresh=True)
    work.release()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("kind", ["text", "hdf5", "empty"])
def test_foreign_files_are_never_touched(output, kind, fresh):
    if kind == "hdf5":
        with h5py.File(output, "w") as file:
            file["mine"] = 1
    else:
        output.write_text("precious" if kind == "text" else "")
    before = output.read_bytes()
    with pytest.raises(StoreError, match="not"):
        begin_or_resume(output, identity(), fresh=fresh)
    assert output.read_bytes() == before
    assert sorted(os.listdir(output.parent)) == ["out.h5"]


def test_an_older_schema_is_named(output):
    complete(output)
    with h5py.File(output, "r+") as file:
        file.attrs["schema_version"] = 0
    before = output.read_bytes()
    with pytest.raises(StoreError, match="schema version 0"):
        begin_or_resume(output, identity())
    assert output.read_bytes() == before
    begin_or_resume(output, identity(), fresh=True).release()
    assert output.read_bytes() == before


def test_a_folder_in_the_way(output):
    output.mkdir()
    with pytest.raises(StoreError):
        begin_or_resume(output, identity())


@pytest.mark.parametrize("cut", [100, 2000, 0.5, 0.95])
def test_truncated_outputs_are_named(output, cut):
    complete(output)
    content = output.read_bytes()
    output.write_bytes(content[: int(cut if cut > 1 else cut * len(content))])
    with pytest.raises(StoreError, match=r"out\.h5"), open_output(output):
        pass


def test_reading_what_is_not_there(output):
    with pytest.raises(StoreError, match=r"does not exist$"), open_output(output):
        pass
    begin_or_resume(output, identity()).release()
    with pytest.raises(StoreError, match="finish it first"), open_output(output):
        pass


def test_failing_to_assemble_destroys_nothing(output, monkeypatch):
    complete(output)
    before = output.read_bytes()
    work = begin_or_resume(output, identity(input_hash="new"), fresh=True)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(work_folder.os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"), final_file(output, SHAPE) as file:
        file.describe(work.manifest(), {})
    assert output.read_bytes() == before
    assert sorted(os.listdir(output.parent)) == ["out.h5", "out.h5.work"]
    work.release()


def test_a_really_full_file_system(output):
    """Against a limit of the file size, which the kernel enforces like a full disk."""
    code = """
import resource, signal, sys, pathlib
import numpy as np
from kmc_oxy.storage import Dataset, final_file
from kmc_oxy.storage import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with final_file(pathlib.Path(sys.argv[1]), {"point": 20, "reading": 10000}) as file:
        file.create(Dataset("g", ("point", "reading"), "S", "noise", missing=np.nan))
        rng = np.random.default_rng(0)
        for point in range(20):
            file.put("g", (point,), rng.random(10000))
except StoreError as error:
    print("StoreError:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("StoreError: cannot write") and done.stdout.count("\n") == 1
    assert os.listdir(output.parent) == []


def test_assembly_takes_bounded_memory(output):
    """400 MB of tasks pass through in far less."""
    code = """
import pathlib, resource, sys
import numpy as np
from kmc_oxy.storage import Dataset, final_file
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
shape = {"point": 1, "member": 2000, "row": 1, "column": 1, "reading": 2000, "layer": 14}
before = peak()
with final_file(pathlib.Path(sys.argv[1]), shape) as file:
    file.create(Dataset("p", tuple(shape), "1", "profile", missing=np.nan))
    task = np.tile(np.arange(14) / 784, (1, 1, 2000, 1))
    for member in range(2000):
        file.put("p", (0, member), task)
print((peak() - before) / 1e6)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 60


def test_datasets_do_not_depend_on_when_they_were_written(tmp_path):
    contents = []
    for name in ("a.h5", "b.h5"):
        with h5py.File(complete(tmp_path / name), "r") as file:
            contents.append(
                {key: (item.dtype, item.chunks, item[()].tobytes()) for key, item in file.items()}
            )
    assert contents[0] == contents[1]
