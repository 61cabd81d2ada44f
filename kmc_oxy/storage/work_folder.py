"""The work folder of an unfinished run: finished tasks, checkpoints, manifest and locks.

Every file is written atomically, so a process can be killed at any moment without leaving a
partial file. Files belong to tasks and not to ranks, so a run can be resumed with another number
of ranks. The content of a file is a tree of dictionaries, lists, arrays and numbers.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kmc_oxy.storage.atomic_files import StoreError, atomic_write, wrap_os_errors
from kmc_oxy.storage.checkpoints import Checkpoints, stamped, unstamped
from kmc_oxy.storage.file_locks import lock_folder, try_lock
from kmc_oxy.storage.manifest import Manifest
from kmc_oxy.storage.nested_arrays import read_tree, write_tree
from kmc_oxy.storage.task_archives import (
    archived_tasks,
    close_archives,
    read_archived,
    write_archive,
)

#: How long a new session waits for ranks that still run although their first rank was killed.
ORPHANED_RANKS_TIMEOUT_S = 10.0

#: Names of files of tasks: the index in seven digits, or more if it needs them.
TASK_FILE = re.compile(r"([0-9]{7}|[1-9][0-9]{7,})\.npz")

log = logging.getLogger(__name__)


class WorkFolder:
    """Folder ``OUT.h5.work`` beside the output of a run that is not complete.

    Parameters
    ----------
    output : Path
        Output file of the run.

    Attributes
    ----------
    path : Path
        The folder; it exists only between `begin` and `remove`.
    """

    def __init__(self, output: Path) -> None:
        # A link as output stays: the file that it names is written, and the folder lies beside it.
        self.output = Path(os.path.realpath(output)) if output.is_symlink() else output
        self.path = self.output.with_name(self.output.name + ".work")
        self._begun: Manifest | None = None
        self._checkpoints = Checkpoints(self.path / "checkpoints", lambda: self._run.run_id)
        self._locks: list[int] = []
        self._archived: dict[int, Path] = {}

    @property
    def manifest_path(self) -> Path:
        """Path of the manifest."""
        return self.path / "manifest.json"

    @property
    def _tasks(self) -> Path:
        return self.path / "tasks"

    def exists(self) -> bool:
        """Whether a run was begun here and not completed.

        Raises
        ------
        StoreError
            If the name is too long, or the place cannot be read.
        """
        with wrap_os_errors(f"read {self.path}"):
            try:
                self.manifest_path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def has_results(self) -> bool:
        """Whether there are files of finished tasks, with or without a manifest."""
        with contextlib.suppress(OSError):
            return any(path.suffix in (".npz", ".zip") for path in self._tasks.iterdir())
        return False

    def acquire(self) -> None:
        """Create the folder and lock it, until `release` or the end of the process.

        Raises
        ------
        StoreError
            If another run holds the lock, or the folder cannot be written.
        """
        message = f"another run is writing {self.output}: wait for it, or choose another output"
        with wrap_os_errors(f"write in {self.path}"):
            if not self._locks:
                descriptor = lock_folder(self.path)
                if descriptor is None:
                    raise StoreError(message)
                self._locks.append(descriptor)
            deadline = time.monotonic() + ORPHANED_RANKS_TIMEOUT_S
            while (descriptor := try_lock(self._ranks_path)) is None:
                if time.monotonic() > deadline:
                    self.release()
                    raise StoreError(message)
                time.sleep(0.05)
            os.close(descriptor)

    @property
    def _lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def _ranks_path(self) -> Path:
        return self.path / "ranks"

    def join(self) -> None:
        """Take the shared lock of the ranks, until `release` or the end of the process.

        Called on every rank but the one that called `acquire`. A later run does not begin while a
        rank holds this lock, even if the first rank was killed.

        Raises
        ------
        StoreError
            If the folder is not visible from this rank.
        """
        with wrap_os_errors(f"share {self.path} (do all ranks see that folder?)"):
            descriptor = try_lock(self._ranks_path, shared=True, create=False)
        if descriptor is None:
            raise StoreError(f"another run is writing {self.output}: wait for it")
        self._locks.append(descriptor)

    def release(self) -> None:
        """Release the locks."""
        while self._locks:
            os.close(self._locks.pop())

    def begin(self, manifest: Manifest) -> None:
        """Empty the folder and begin a run in it.

        Parameters
        ----------
        manifest : Manifest
            Description of the run.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        with wrap_os_errors(f"write in {self.path}"):
            self._clear()
            self._tasks.mkdir(exist_ok=True)
            self._checkpoints.folder.mkdir(exist_ok=True)
            manifest.write(self.manifest_path)
            self._begun = manifest

    def manifest(self) -> Manifest:
        """Read the manifest of the run in progress.

        Returns
        -------
        Manifest

        Raises
        ------
        StoreError
            If it is missing, damaged or of another schema version.
        """
        return Manifest.read(self.manifest_path)

    @property
    def _run(self) -> Manifest:
        """The manifest, read once."""
        if self._begun is None:
            self._begun = self.manifest()
        return self._begun

    def _task_path(self, index: int) -> Path:
        return self._tasks / f"{index:07d}.npz"

    def finished(self) -> set[int]:
        """Find the tasks whose results are on disk.

        Returns
        -------
        set of int
            Their indices.

        Raises
        ------
        StoreError
            If the folder cannot be read, or an archive is damaged.
        """
        with wrap_os_errors(f"read {self.path}"):
            archived = archived_tasks(self._tasks.iterdir())
            self._archived = {i: path for i, path in archived.items() if i < self._run.tasks}
            return self.unarchived() | self._archived.keys()

    def unarchived(self) -> set[int]:
        """Find the finished tasks that have a file of their own.

        Returns
        -------
        set of int
            Their indices.
        """
        return _indices(self._tasks, self._run.tasks)

    def started(self) -> set[int]:
        """Find the tasks that have a checkpoint.

        Returns
        -------
        set of int
            Their indices.
        """
        return _indices(self._checkpoints.folder, self._run.tasks)

    def remove_leftovers(self) -> None:
        """Remove temporary and duplicate files of killed sessions.

        To be called only while no other process writes in the folder.

        Raises
        ------
        StoreError
            If the folder cannot be read or written.
        """
        with wrap_os_errors(f"write in {self.path}"):
            finished = self.finished()
            for folder in (self._tasks, self.path / "checkpoints"):
                for path in folder.glob("*.tmp"):
                    path.unlink()
            for index in self.unarchived() & self._archived.keys():
                self._task_path(index).unlink()
            for index in self.started() & finished:
                self._checkpoints.path(index).unlink()

    def archive(self, tasks: Collection[int]) -> None:
        """Move the files of finished tasks into one archive.

        Parameters
        ----------
        tasks : collection of int
            Their indices.

        Raises
        ------
        StoreError
            If the archive cannot be written.
        """
        with wrap_os_errors(f"archive finished tasks in {self.path}"):
            archived = write_archive(
                self._tasks, {index: self._task_path(index) for index in tasks}
            )
            for index in archived:
                self._task_path(index).unlink()

    def save_task(self, index: int, record: Mapping[str, Any]) -> None:
        """Save the result of a task and remove its checkpoint.

        Parameters
        ----------
        index : int
        record : mapping of str
            As for `write_tree`.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        with wrap_os_errors(f"write the result of task {index} in {self.path}"):
            with atomic_write(self._task_path(index)) as file:
                write_tree(file, stamped(record, self._run.run_id, index))
            self._checkpoints.path(index).unlink(missing_ok=True)

    def load_task(self, index: int) -> dict[str, Any]:
        """Load the result of a task.

        Parameters
        ----------
        index : int

        Returns
        -------
        dict of str

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        path = self._task_path(index)
        if not path.exists() and index not in self._archived:
            self.finished()
        content: Path | io.BytesIO = path
        source = str(path)
        if not path.exists() and index in self._archived:
            content = io.BytesIO(read_archived(self._archived[index], index))
            source = f"task {index} in {self._archived[index]}"
        try:
            return unstamped(read_tree(content, source), self._run.run_id, index, source)
        except StoreError as error:
            raise StoreError(
                f"{error}: delete that file if it exists and run the same line again, which "
                "computes this task anew"
            ) from error

    def save_checkpoint(self, index: int, state: Mapping[str, Any]) -> None:
        """Save the state of a task in progress; a StoreError if it cannot be written."""
        with wrap_os_errors(f"write the checkpoint of task {index} in {self.path}"):
            self._checkpoints.save(index, state)

    def load_checkpoint(self, index: int) -> dict[str, Any] | None:
        """Load the state of a task in progress; None if there is none, as `Checkpoints.load`."""
        return self._checkpoints.load(index)

    def remove(self) -> None:
        """Remove the folder of a completed run and release the locks.

        Raises
        ------
        StoreError
            If the results or the manifest cannot be removed.
        """
        close_archives()
        with wrap_os_errors(f"remove {self.path}"):
            self._clear()
        # Remaining files (another run may just be opening the lock) are harmless.
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def _clear(self) -> None:
        """Remove all but the locks; a kill at any moment leaves no results without a manifest."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                # A network file system keeps a folder while another rank has a file of it open.
                shutil.rmtree(entry, ignore_errors=True)
            elif entry not in (self._lock_path, self._ranks_path, self.manifest_path):
                entry.unlink()
        if self.has_results():
            raise StoreError(f"the results in {self.path / 'tasks'} cannot be removed")
        self.manifest_path.unlink(missing_ok=True)


def _indices(folder: Path, tasks: int) -> set[int]:
    """Those of the first `tasks` tasks that have a file in `folder`; other files are ignored."""
    with os.scandir(folder) as entries:
        found = {int(entry.name[:-4]) for entry in entries if TASK_FILE.fullmatch(entry.name)}
    return {index for index in found if index < tasks}
