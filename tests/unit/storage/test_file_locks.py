import os

from kmc_oxy.storage.file_locks import is_open_as, lock_folder, try_lock


def test_exclusive_and_shared_locks(tmp_path):
    path = tmp_path / "lock"
    readers = [try_lock(path, shared=True) for _ in range(2)]
    assert None not in readers
    assert try_lock(path) is None
    for descriptor in readers:
        os.close(descriptor)
    writer = try_lock(path)
    assert writer is not None
    assert try_lock(path, shared=True) is None
    os.close(writer)


def test_a_removed_file_is_not_the_open_one(tmp_path):
    path = tmp_path / "lock"
    descriptor = try_lock(path)
    assert is_open_as(descriptor, path)
    path.unlink()
    assert not is_open_as(descriptor, path)
    (tmp_path / "other").write_text("")
    path.write_text("")
    assert not is_open_as(descriptor, path)
    os.close(descriptor)


def test_a_folder_is_made_and_locked_once(tmp_path):
    folder = tmp_path / "new" / "folder"
    descriptor = lock_folder(folder)
    assert is_open_as(descriptor, folder / "lock")
    assert lock_folder(folder) is None
    (folder / "lock").unlink()
    os.close(descriptor)
    again = lock_folder(folder)
    assert is_open_as(again, folder / "lock")
    os.close(again)
