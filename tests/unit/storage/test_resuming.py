import hashlib
import json
import os
from pathlib import Path

import h5py
import pytest
from storage_examples import SHAPE, complete, identity

from kmc_oxy._version import UNKNOWN_SOURCE
from kmc_oxy.storage import StoreError, WorkFolder, begin_or_resume, create_output, resuming
from kmc_oxy.storage.resuming import differing_keys

SOURCES = Path(__file__).parents[3] / "cython_ext"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.h5"


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
    with create_output(output, SHAPE) as file:
        file.write_attributes(work.manifest(), {"mpi_size": 1})
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


def test_the_message_about_another_input_names_the_keys_that_differ(output):
    before = {"device": {"temperature": 76.0, "lattice": {"nx": 4}}, "protocol": [{"read": {}}]}
    now = {"device": {"temperature": 99.0, "lattice": {"nx": 4}}, "protocol": [{"map": {}}]}
    complete(output, identity(resolved=json.dumps(before)))
    with pytest.raises(StoreError) as caught:
        begin_or_resume(output, identity(input_hash="other", resolved=json.dumps(now)))
    text = str(caught.value)
    assert "device.temperature 76.0 there, 99.0 now" in text and "nx" not in text
    assert "protocol.0.read {} there, absent now" in text
    many = json.dumps({f"key{number}": number for number in range(20)})
    assert differing_keys("{}", many).endswith("and 15 more keys)")


def test_results_without_a_manifest_are_not_thrown_away(output):
    work = begin_or_resume(output, identity())
    work.save_task(0, {"x": 1})
    work.release()
    work.manifest_path.unlink()
    with pytest.raises(StoreError, match=r"no manifest\.json.*--fresh"):
        begin_or_resume(output, identity())
    assert len(os.listdir(work.path / "tasks")) == 1
    begin_or_resume(output, identity(), fresh=True).release()


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_as_output_stays_and_its_file_is_written(output, tmp_path, dangling):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = elsewhere / "run.h5"
    if not dangling:
        complete(target, identity(input_hash="old"))
    output.symlink_to(target)
    work = begin_or_resume(output, identity(), fresh=not dangling)
    assert work.path == elsewhere / "run.h5.work" and work.output == target
    with create_output(work.output, SHAPE, folder=work.path) as writer:
        writer.write_attributes(work.manifest(), {})
    work.remove()
    assert output.is_symlink() and not target.is_symlink()
    assert begin_or_resume(output, identity()) is None
    assert os.listdir(elsewhere) == ["run.h5"]


def test_a_temporary_name_of_the_user_is_left_alone(output):
    beside = output.with_name("out.h5.tmp")
    beside.write_text("mine")
    complete(output)
    assert beside.read_text() == "mine"
    assert sorted(os.listdir(output.parent)) == ["out.h5", "out.h5.tmp"]


@pytest.mark.parametrize("name", ["x" * 300, "x" * 252])
def test_a_name_that_is_too_long_is_refused_before_anything_is_computed(tmp_path, name):
    with pytest.raises(StoreError, match="name is too long"):
        begin_or_resume(tmp_path / name, identity())


def test_a_folder_as_output_is_named(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        begin_or_resume(tmp_path, identity())
