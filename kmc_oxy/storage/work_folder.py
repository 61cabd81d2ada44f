"""The work folder of an unfinished run: finished tasks, checkpoints, manifest and locks.

Every file appears by rename after an fsync, so that whatever the moment a run is killed, a file
is either whole or absent. Files belong to tasks, not to ranks: a run goes on with another number
of ranks. Nothing here knows what a task computes: records and states are trees of dictionaries,
lists, arrays and numbers.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kmc_oxy._version import UNKNOWN_SOURCE
from kmc_oxy.storage.atomic_files import StoreError, explained, read_tree, replacing, write_tree
from kmc_oxy.storage.file_locks import is_current, lock
from kmc_oxy.storage.task_archives import close_packs, packed_tasks, read_packed, write_pack

#: Version of the layout of work folders and final files; raised whenever either changes.
SCHEMA_VERSION = 1
#: How long a new session waits for the ranks of one whose first rank has died.
ORPHANS_S = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manifest:
    """What a run is: written once when it begins, and the condition for going on with it.

    Parameters
    ----------
    input_hash : str
        Digest of the resolved input, its seed excepted; comments and layout do not count.
    seed : int
        The seed asked for, or the one drawn when the run began.
    tasks : int
        How many task files a complete run has.
    input_yaml, resolved : str
        Exact text of the input, and the resolved input with its scan as JSON.
    overrides : tuple of str
        Settings made on the command line.
    kmc_oxy_version, created, run_id : str
        Who computes it, since when (ISO 8601), and a name that no other run has.
    kernel_source : str
        Digest of the source of the compiled kernels, which all of the run is computed with.
    replaces : bool
        Whether an earlier complete output is to be replaced at the end.
    schema_version : int
    """

    input_hash: str
    seed: int
    tasks: int
    input_yaml: str
    resolved: str
    overrides: tuple[str, ...]
    kmc_oxy_version: str
    created: str
    run_id: str
    kernel_source: str
    replaces: bool = False
    schema_version: int = SCHEMA_VERSION

    @staticmethod
    def new_run_id() -> str:
        """A name for a run that no other run has."""
        return uuid.uuid4().hex

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest.

        Raises
        ------
        StoreError
            If it is damaged, or of another schema version.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content["schema_version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged ({error}): begin again with --fresh, or choose another output"
            ) from error
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path.parent} has schema version {version}, this program writes "
                f"{SCHEMA_VERSION}: finish it with the version that began it, or begin again with "
                "--fresh"
            )
        # Of the first runs nothing tells what source they were begun with.
        content.setdefault("kernel_source", UNKNOWN_SOURCE)
        if set(content) != {field.name for field in fields(cls)}:
            raise StoreError(f"{path} is damaged (unexpected keys): begin again with --fresh")
        content["overrides"] = tuple(content["overrides"])
        return cls(**content)

    def write(self, path: Path) -> None:
        """Write the manifest by rename."""
        with replacing(path) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())


class WorkFolder:
    """Folder ``OUT.h5.work`` beside the output of a run that is not complete.

    Parameters
    ----------
    output : Path
        Final file of the run.

    Attributes
    ----------
    path : Path
        The folder; it exists only between `begin` and `remove`.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".work")
        self._locks: list[int] = []
        self._packed: dict[int, Path] = {}

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def _tasks(self) -> Path:
        return self.path / "tasks"

    def exists(self) -> bool:
        """Whether a run was begun here and not completed."""
        return self.manifest_path.exists()

    def acquire(self) -> None:
        """Create the folder and take its lock, kept until `release` or the end of the process.

        Raises
        ------
        StoreError
            If another run holds it, or the folder cannot be written.
        """
        taken = f"another run is writing {self.output}: wait for it, or choose another output"
        with explained(f"write in {self.path}"):
            while not self._locks:
                self.path.mkdir(parents=True, exist_ok=True)
                path = self.path / "lock"
                # The run that held it may complete and remove the folder at this moment.
                with contextlib.suppress(FileNotFoundError):
                    descriptor = lock(path)
                    if descriptor is None:
                        raise StoreError(taken)
                    if is_current(descriptor, path):
                        self._locks.append(descriptor)
                    else:
                        os.close(descriptor)
            deadline = time.monotonic() + ORPHANS_S
            while (descriptor := lock(self._ranks_path)) is None:
                if time.monotonic() > deadline:
                    self.release()
                    raise StoreError(taken)
                time.sleep(0.05)
            os.close(descriptor)

    @property
    def _ranks_path(self) -> Path:
        return self.path / "ranks"

    def join(self) -> None:
        """Write here beside the rank that called `acquire`, until `release`.

        No later run begins before all that have joined are gone, though the first rank be killed.

        Raises
        ------
        StoreError
            If the folder cannot be seen from here.
        """
        with explained(f"share {self.path} (do all ranks see that folder?)"):
            descriptor = lock(self._ranks_path, shared=True, create=False)
        if descriptor is None:
            raise StoreError(f"another run is writing {self.output}: wait for it")
        self._locks.append(descriptor)

    def release(self) -> None:
        """Let go of the locks."""
        while self._locks:
            os.close(self._locks.pop())

    def begin(self, manifest: Manifest) -> None:
        """Empty the folder and start the run described by `manifest` in it."""
        with explained(f"write in {self.path}"):
            for entry in self.path.iterdir():
                if entry.name not in ("lock", "ranks"):
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            (self.path / "tasks").mkdir()
            (self.path / "checkpoints").mkdir()
            manifest.write(self.manifest_path)

    def manifest(self) -> Manifest:
        """The manifest of the run in progress.

        Raises
        ------
        StoreError
            If it is missing, damaged or of another schema version.
        """
        return Manifest.read(self.manifest_path)

    def _task_path(self, index: int) -> Path:
        return self._tasks / f"{index:07d}.npz"

    def _checkpoint_path(self, index: int) -> Path:
        return self.path / "checkpoints" / f"{index:07d}.npz"

    def finished(self) -> set[int]:
        """Indices of the tasks whose results are safe on disk."""
        with explained(f"read {self.path}"):
            self._packed = packed_tasks(self._tasks.iterdir())
            return self.singles() | self._packed.keys()

    def singles(self) -> set[int]:
        """Indices of the finished tasks that have a file of their own."""
        return _indices(self._tasks)

    def started(self) -> set[int]:
        """Indices of the tasks that have a checkpoint."""
        return _indices(self.path / "checkpoints")

    def tidy(self) -> None:
        """Remove what killed sessions left over; only while nobody else writes here."""
        with explained(f"write in {self.path}"):
            finished = self.finished()
            for folder in (self._tasks, self.path / "checkpoints"):
                for path in folder.glob("*.tmp"):
                    path.unlink()
            for index in self.singles() & self._packed.keys():
                self._task_path(index).unlink()
            for index in self.started() & finished:
                self._checkpoint_path(index).unlink()

    def pack(self, tasks: Collection[int]) -> None:
        """Put finished tasks that have files of their own into one pack."""
        with explained(f"pack finished tasks in {self.path}"):
            packed = write_pack(self._tasks, {index: self._task_path(index) for index in tasks})
            for index in packed:
                self._task_path(index).unlink()

    def save_task(self, index: int, record: Mapping[str, Any]) -> None:
        """Make a task's result safe on disk; its checkpoint goes."""
        with explained(f"write the result of task {index} in {self.path}"):
            with replacing(self._task_path(index)) as file:
                write_tree(file, record)
            self._checkpoint_path(index).unlink(missing_ok=True)

    def load_task(self, index: int) -> dict[str, Any]:
        """Result of a task.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        path = self._task_path(index)
        if not path.exists() and index not in self._packed:
            self.finished()
        if not path.exists() and index in self._packed:
            pack = self._packed[index]
            return read_tree(io.BytesIO(read_packed(pack, index)), f"task {index} in {pack}")
        try:
            return read_tree(path)
        except StoreError as error:
            raise StoreError(
                f"{error}: delete that file if it exists and run the same line again, which "
                "computes this task anew"
            ) from error

    def save_checkpoint(self, index: int, state: Mapping[str, Any]) -> None:
        """Keep the state of a task in progress."""
        with (
            explained(f"write the checkpoint of task {index} in {self.path}"),
            replacing(self._checkpoint_path(index)) as file,
        ):
            write_tree(file, state)

    def load_checkpoint(self, index: int) -> dict[str, Any] | None:
        """State of a task in progress; None if it has none, or if what there is cannot be read.

        A damaged checkpoint costs only time: the task starts again and gives the same numbers.
        """
        path = self._checkpoint_path(index)
        if not path.exists():
            return None
        try:
            return read_tree(path)
        except StoreError as error:
            log.warning("%s: task %d starts again", error, index)
            return None

    def remove(self) -> None:
        """Remove the folder of a completed run, and let go of the lock."""
        close_packs()
        with explained(f"remove {self.path}"):
            # The manifest goes first: without it a half-removed folder is not taken for a run.
            self.manifest_path.unlink(missing_ok=True)
        # What cannot be removed (another run may just be looking for the lock) does no harm.
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()


def _indices(folder: Path) -> set[int]:
    """Tasks that have a file in `folder`."""
    with os.scandir(folder) as entries:
        return {int(entry.name[:-4]) for entry in entries if entry.name.endswith(".npz")}
