import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from kmc_oxy._version import UNKNOWN_SOURCE
from kmc_oxy.storage import StoreError, WorkFolder, explained, read_tree, work_folder
from kmc_oxy.storage.atomic_files import write_tree
from kmc_oxy.storage.work_folder import Manifest


def manifest(**changes):
    values = {
        "input_hash": "abc",
        "seed": 7,
        "tasks": 3,
        "input_yaml": "protocol: []\n",
        "resolved": "{}",
        "overrides": ("a.b=1",),
        "kmc_oxy_version": "1",
        "created": "2026-01-01T00:00:00+00:00",
        "run_id": "x",
        "kernel_source": "k",
    }
    return Manifest(**{**values, **changes})


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path / "out.h5")
    folder.acquire()
    folder.begin(manifest())
    yield folder
    folder.release()


def same(a, b):
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


TREE = {
    "array": np.arange(6.0).reshape(2, 3),
    "empty": np.zeros((0, 4), dtype=np.int8),
    "flags": np.array([True, False]),
    "nan": float("nan"),
    "big": 2**127 + 1,
    "nested": {"list": [1, None, {"array": 1.5}], "tuple": (1, "x", np.float32(2).item())},
    "raw": b"\x00\xff",
    "map": {"map": True},
    "tiny": 5e-324,
}


def test_trees_come_back_as_they_were(tmp_path):
    path = tmp_path / "tree.npz"
    with open(path, "wb") as file:
        write_tree(file, TREE)
    assert same(read_tree(path), TREE)


@pytest.mark.parametrize("bad", [{1: 2}, {"a": object()}, {"a": {1, 2}}])
def test_what_cannot_be_stored_is_refused(bad):
    with pytest.raises(TypeError):
        write_tree(io.BytesIO(), bad)


def test_damage_is_noticed_wherever_it_is(tmp_path):
    """Cut or flip a byte anywhere: an error, or (in padding) the very same content."""
    buffer = io.BytesIO()
    write_tree(buffer, TREE)
    whole = buffer.getvalue()
    path = tmp_path / "tree.npz"
    rng = np.random.default_rng(0)
    noticed = 0
    for trial in range(300):
        place = int(rng.integers(len(whole)))
        if trial % 2:
            content = whole[:place]
        else:
            content = bytearray(whole)
            content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            found = read_tree(path)
        except StoreError as error:
            assert "damaged" in str(error) and "tree.npz" in str(error)
            noticed += 1
        else:
            assert same(found, TREE)
    assert noticed > 200


def test_tasks_are_whole_or_absent(work):
    assert work.finished() == set()
    work.save_checkpoint(2, {"x": 1})
    assert work.load_checkpoint(2) == {"x": 1}
    work.save_task(2, {"g": np.ones(3)})
    assert work.finished() == {2}
    assert work.load_checkpoint(2) is None
    np.testing.assert_array_equal(work.load_task(2)["g"], np.ones(3))
    with pytest.raises(StoreError, match=r"0000001\.npz is missing.*same line again"):
        work.load_task(1)


def test_an_unfinished_write_leaves_nothing(work, monkeypatch):
    work.save_task(0, {"g": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(work_folder.os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full: free some space and run the same line"):
        work.save_task(1, {"g": 2})
    assert sorted(os.listdir(work.path / "tasks")) == ["0000000.npz"]
    monkeypatch.undo()
    work.save_task(1, {"g": 2})
    assert work.finished() == {0, 1}


def test_a_leftover_of_a_kill_is_not_taken_for_a_task(work):
    (work.path / "tasks" / "0000001.npz.tmp").write_bytes(b"half")
    assert work.finished() == set()


def test_a_damaged_checkpoint_costs_only_time(work, caplog):
    work.save_checkpoint(0, {"x": np.arange(100)})
    path = work.path / "checkpoints" / "0000000.npz"
    path.write_bytes(path.read_bytes()[:-30])
    assert work.load_checkpoint(0) is None
    assert "0000000.npz is damaged" in caplog.text and "task 0 starts again" in caplog.text


def test_a_second_run_is_refused(work):
    with pytest.raises(StoreError, match="another run is writing"):
        WorkFolder(work.output).acquire()
    work.release()
    other = WorkFolder(work.output)
    other.acquire()
    other.release()


def test_the_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, os, pathlib; from kmc_oxy.storage import WorkFolder;"
        "w = WorkFolder(pathlib.Path(sys.argv[1])); w.acquire(); print('held', flush=True);"
        "sys.stdin.read()"
    )
    output = tmp_path / "out.h5"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another run"):
            WorkFolder(output).acquire()
    finally:
        process.kill()
        process.communicate()
    work = WorkFolder(output)
    work.acquire()
    work.release()


def test_remove_leaves_nothing(work):
    work.save_task(0, {"g": 1})
    work.remove()
    assert not work.path.exists()


def test_manifest_round_trip_and_damage(work):
    assert work.manifest() == manifest()
    text = work.manifest_path.read_text()
    work.manifest_path.write_text(text[:40])
    with pytest.raises(StoreError, match=r"manifest\.json is damaged.*--fresh"):
        work.manifest()
    version = f'"schema_version": {work_folder.SCHEMA_VERSION}'
    work.manifest_path.write_text(text.replace(version, '"schema_version": 0'))
    with pytest.raises(StoreError, match=r"schema version 0.*--fresh"):
        work.manifest()


def test_a_manifest_that_says_nothing_of_the_kernel(work):
    """As the first runs wrote it; anything else that is missing is damage."""
    content = json.loads(work.manifest_path.read_text())
    del content["kernel_source"]
    work.manifest_path.write_text(json.dumps(content))
    assert work.manifest() == manifest(kernel_source=UNKNOWN_SOURCE)
    del content["run_id"]
    work.manifest_path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"damaged.*--fresh"):
        work.manifest()


def test_a_place_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError, match="cannot write in"):
        WorkFolder(blocker / "out.h5").acquire()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EROFS, "no permission"),
        (errno.EACCES, "no permission"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_system_errors_are_explained(code, advice):
    with pytest.raises(StoreError, match=advice), explained("write x"):
        raise OSError(code, os.strerror(code))
