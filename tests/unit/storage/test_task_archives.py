import os

import numpy as np
import pytest
from storage_examples import manifest

from kmc_oxy.storage import (
    StoreError,
    TaskArchiver,
    WorkFolder,
    max_single_files,
    task_archives,
    work_folder,
)


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path / "out.h5")
    folder.acquire()
    folder.begin(manifest(tasks=20))
    yield folder
    folder.release()
    task_archives.close_archives()


def fill(work, tasks):
    for index in tasks:
        work.save_task(index, {"g": np.full(5, index)})


def names(work):
    return sorted(os.listdir(work.path / "tasks"))


@pytest.mark.parametrize(("tasks", "ranks"), [(1, 1), (100, 4), (10_000, 100), (10**6, 1000)])
def test_files_are_few(tasks, ranks):
    limit = max_single_files(tasks, ranks)
    files = min(tasks, limit * ranks) + tasks / limit
    fewest = task_archives.MIN_SINGLE_FILES
    assert files <= max(2.1 * (tasks * ranks) ** 0.5, fewest * ranks + tasks / fewest)


def test_archived_tasks_are_read_like_others(work):
    fill(work, range(6))
    work.archive([0, 2, 4, 5])
    assert work.finished() == set(range(6)) and work.unarchived() == {1, 3}
    assert len(names(work)) == 3
    for reader in (work, WorkFolder(work.output)):
        for index in range(6):
            np.testing.assert_array_equal(reader.load_task(index)["g"], np.full(5, index))
    with pytest.raises(StoreError, match=r"0000007\.npz is missing"):
        work.load_task(7)


def test_archives_of_other_ranks_are_found_later(work):
    fill(work, [3])
    assert work.finished() == {3}
    other = WorkFolder(work.output)
    fill(other, [8, 9])
    other.archive([8, 9])
    np.testing.assert_array_equal(work.load_task(9)["g"], np.full(5, 9))


def test_a_kill_between_archiving_and_removal_does_no_harm(work, monkeypatch):
    fill(work, range(3))

    def killed(path, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work_folder.Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            work.archive([0, 1])
    assert work.finished() == {0, 1, 2} == work.unarchived()
    work.remove_leftovers()
    assert work.unarchived() == {2} and work.finished() == {0, 1, 2}


def test_leftovers_of_kills_are_removed(work):
    fill(work, [0, 1])
    work.save_checkpoint(2, {"x": 1})
    work.save_checkpoint(1, {"x": 1})
    for folder in ("tasks", "checkpoints"):
        (work.path / folder / "0000009.npz.tmp").write_bytes(b"half")
    work.remove_leftovers()
    assert names(work) == ["0000000.npz", "0000001.npz"]
    assert os.listdir(work.path / "checkpoints") == ["0000002.npz"] and work.started() == {2}


def test_a_damaged_file_is_not_archived(work):
    fill(work, range(3))
    path = work.path / "tasks" / "0000001.npz"
    path.write_bytes(path.read_bytes()[:-20])
    work.archive([0, 1, 2])
    assert work.unarchived() == {1} and path.exists()
    with pytest.raises(StoreError, match=r"0000001\.npz is damaged.*delete that file"):
        work.load_task(1)


@pytest.mark.parametrize("cut", [0, 10, 0.5, -1])
def test_a_damaged_archive_is_named(work, cut):
    fill(work, range(3))
    work.archive([0, 1, 2])
    (path,) = (work.path / "tasks").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(cut if cut > 1 or cut <= 0 else cut * len(content))])
    with pytest.raises(StoreError, match=r"pack-.*\.zip is damaged.*delete that file"):
        work.finished()


def test_a_flipped_byte_in_an_archive_is_noticed(work):
    fill(work, range(3))
    work.archive([0, 1, 2])
    (path,) = (work.path / "tasks").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged"):
        for index in range(3):
            work.load_task(index)


def test_tasks_are_archived_when_there_are_too_many_files():
    archived = []
    archiver = TaskArchiver(lambda tasks: archived.append(sorted(tasks)), 3)
    archiver.add(7, 5)
    archiver.add(1)
    assert archived == []
    archiver.add(2)
    assert archived == [[1, 2, 5, 7]]
    archiver.add(3)
    assert len(archived) == 1


def test_ranks_share_the_folder_and_keep_others_out(work, monkeypatch):
    monkeypatch.setattr(work_folder, "ORPHANED_RANKS_TIMEOUT_S", 0.1)
    ranks = [WorkFolder(work.output) for _ in range(2)]
    for rank in ranks:
        rank.join()
    work.release()
    for rank in ranks:
        with pytest.raises(StoreError, match="another run is writing"):
            work.acquire()
        rank.release()
    work.acquire()


def test_a_folder_that_a_rank_cannot_see(tmp_path):
    with pytest.raises(StoreError, match=r"do all ranks see that folder\?"):
        WorkFolder(tmp_path / "out.h5").join()
