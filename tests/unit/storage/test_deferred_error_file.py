import errno
import os

import h5py
import numpy as np
import pytest

from kmc_oxy.storage import DeferredErrorFile


def test_content_is_that_of_an_ordinary_file(tmp_path):
    path = tmp_path / "file.h5"
    disk = DeferredErrorFile(path)
    with h5py.File(disk, "w") as file:
        file["x"] = np.arange(1000)
    disk.close()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"][()], np.arange(1000))


def test_a_failed_write_is_raised_after_hdf5_has_closed(tmp_path, monkeypatch):
    """HDF5 reads back what it could not write, and closes without an error."""

    def full(descriptor, content, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk = DeferredErrorFile(tmp_path / "file.h5")
    values = np.random.default_rng(1).random(200_000)
    with h5py.File(disk, "w") as file:
        monkeypatch.setattr(os, "pwrite", full)
        file["x"] = values
        file.flush()
        np.testing.assert_array_equal(file["x"][()], values)
        with pytest.raises(OSError, match="No space left"):
            disk.check()
    with pytest.raises(OSError, match="No space left"):
        disk.close()
