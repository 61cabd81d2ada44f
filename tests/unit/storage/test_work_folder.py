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


@pytest.mark.parametrize("begun_again", [False, True])
def test_a_kill_while_a_folder_is_cleared_never_leaves_results_alone(
    tmp_path, monkeypatch, begun_again
):
    """Killed at each deletion in turn: `remove` after a run, `begin` with --fresh."""
    real = {name: getattr(os, name) for name in ("unlink", "rmdir")}
    steps = []
    for kill_at in range(1, 100):
        work = WorkFolder(tmp_path / f"{kill_at}.h5")
        work.acquire()
        work.begin(manifest())
        for index in range(3):
            work.save_task(index, {"g": 1})
        work.save_checkpoint(2, {"x": 1})
        work.archive([0])
        left = kill_at

        def counted(name):
            def delete(*arguments, **options):
                nonlocal left
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
                return real[name](*arguments, **options)

            return delete

        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, counted(name))
            try:
                work.begin(manifest()) if begun_again else work.remove()
            except KeyboardInterrupt:
                pass
            else:
                break
        work.release()
        steps.append(work.exists())
        assert work.exists() or not work.has_results()
    assert len(steps) > 5 and steps[0] and (begun_again or not steps[-1])
    work.release()


def test_results_that_cannot_be_removed_keep_their_manifest(work, monkeypatch):
    work.save_task(0, {"g": 1})
    monkeypatch.setattr(work_folder.shutil, "rmtree", lambda path, **options: None)
    with pytest.raises(StoreError, match=r"tasks cannot be removed"):
        work.remove()
    assert work.exists()


def test_files_that_are_not_of_tasks_are_ignored(work):
    work.save_task(0, {"g": 1})
    work.save_checkpoint(1, {"x": 1})
    names = ("foo", "3 (copy)", "0000001 (copy)", "1", "00000001", "0000001.tmp", "-000001",
             "\N{ARABIC-INDIC DIGIT ONE}" * 7, "0000003", "9999999", "")  # fmt: skip
    for folder in ("tasks", "checkpoints"):
        for name in names:
            (work.path / folder / f"{name}.npz").write_bytes(b"mine")
    assert work.finished() == work.unarchived() == {0} and work.started() == {1}
    work.remove_leftovers()
    assert len(os.listdir(work.path / "tasks")) == len(names) + 1


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
