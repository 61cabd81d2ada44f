import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from storage_examples import identity, manifest

from kmc_oxy.storage import StoreError, WorkFolder, begin_or_resume, work_folder


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path / "out.h5")
    folder.acquire()
    folder.begin(manifest())
    yield folder
    folder.release()


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


def test_a_place_that_cannot_be_written(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError, match="cannot write in"):
        WorkFolder(blocker / "out.h5").acquire()


def test_a_file_of_another_task_or_run_is_not_taken(tmp_path):
    first, second = (begin_or_resume(tmp_path / f"{name}.h5", identity()) for name in "ab")
    for work in (first, second):
        for index in range(3):
            work.save_task(index, {"x": index})
            work.save_checkpoint(index, {"x": index})
    tasks = first.path / "tasks"
    shutil.copy(tasks / "0000001.npz", tasks / "0000000.npz")
    with pytest.raises(StoreError, match=r"0000000.npz is not task 0 .* but task 1 .*delete that"):
        first.load_task(0)
    assert first.load_task(1) == {"x": 1}
    shutil.copy(second.path / "tasks" / "0000002.npz", tasks / "0000002.npz")
    with pytest.raises(StoreError, match=r"is not task 2 of this run.*delete that"):
        first.load_task(2)
    checkpoints = first.path / "checkpoints"
    shutil.copy(checkpoints / "0000001.npz", checkpoints / "0000000.npz")
    assert first.load_checkpoint(0) is None
    assert first.load_checkpoint(1) == {"x": 1}
    first.archive([0, 1])
    with pytest.raises(StoreError, match=r"task 0 in .*pack-.* is not task 0"):
        first.load_task(0)
    first.release()
    second.release()
