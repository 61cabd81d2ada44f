"""The work folder of an unfinished run: finished tasks, checkpoints, manifest and lock.

Every file appears by rename after an fsync, so that whatever the moment a run is killed, a file
is either whole or absent. One file per task (not per rank) lets a run go on with another number
of ranks. Nothing here knows what a task computes: records and states are trees of dictionaries,
lists, arrays and numbers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

#: Version of the layout of work folders and final files; raised whenever either changes.
SCHEMA_VERSION = 1

log = logging.getLogger(__name__)


class StoreError(Exception):
    """A result cannot be written, read or resumed; the message says what to do about it."""


@contextlib.contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn an operating-system error met while doing `action` into one clear line.

    Raises
    ------
    StoreError
        In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "the disk is full: free some space and run the same line again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "no permission to write there: choose another place with -o"
        else:
            advice = error.strerror or str(error)
        raise StoreError(f"cannot {action}: {advice}") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end, whole and safe on disk, or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the renames done in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder, and need not.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def write_tree(file: BinaryIO, tree: Any) -> None:
    """Write nested dictionaries, lists, tuples, numbers, strings, bytes and arrays.

    A zip archive of NumPy's own format: each array carries a checksum, nothing is ever executed
    on reading.
    """
    arrays: list[NDArray[Any]] = []

    def skeleton(node: Any) -> Any:
        if isinstance(node, np.ndarray):
            arrays.append(node)
            return {"array": len(arrays) - 1}
        if isinstance(node, np.generic):
            return skeleton(node.item())
        if isinstance(node, bytes):
            arrays.append(np.frombuffer(node, dtype=np.uint8))
            return {"bytes": len(arrays) - 1}
        if isinstance(node, Mapping):
            if not all(isinstance(key, str) for key in node):
                raise TypeError("Only dictionaries with string keys can be stored.")
            return {"map": {key: skeleton(value) for key, value in node.items()}}
        if isinstance(node, tuple):
            return {"tuple": [skeleton(value) for value in node]}
        if isinstance(node, list):
            return [skeleton(value) for value in node]
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        raise TypeError(f"A {type(node).__name__} cannot be stored.")

    text = json.dumps(skeleton(tree)).encode()
    np.savez(
        file,
        allow_pickle=False,
        tree=np.frombuffer(text, dtype=np.uint8),
        **{f"array{index}": array for index, array in enumerate(arrays)},
    )


def read_tree(path: Path) -> Any:
    """Read what `write_tree` wrote.

    Raises
    ------
    StoreError
        If the file is missing, truncated or damaged.
    """

    def build(node: Any) -> Any:
        if isinstance(node, list):
            return [build(value) for value in node]
        if not isinstance(node, dict):
            return node
        ((kind, value),) = node.items()
        if kind == "array":
            return archive[f"array{value}"]
        if kind == "bytes":
            return archive[f"array{value}"].tobytes()
        if kind == "tuple":
            return tuple(build(item) for item in value)
        return {key: build(item) for key, item in value.items()}

    try:
        with np.load(path, allow_pickle=False) as archive:
            return build(json.loads(archive["tree"].tobytes()))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except Exception as error:  # a damaged archive can make its readers raise nearly anything
        raise StoreError(f"{path} is damaged ({error})") from error


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
        self._lock: int | None = None

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

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
        with explained(f"write in {self.path}"):
            while True:
                self.path.mkdir(parents=True, exist_ok=True)
                path = self.path / "lock"
                try:
                    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                except FileNotFoundError:
                    # The run that held it completed and removed the folder just now.
                    continue
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    raise StoreError(
                        f"another run is writing {self.output}: wait for it, or choose another "
                        "output"
                    ) from None
                except OSError as error:
                    if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                        raise
                    log.warning("No file locks here: do not run twice on %s", self.output)
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                        self._lock = descriptor
                        return
                os.close(descriptor)

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self, manifest: Manifest) -> None:
        """Empty the folder and start the run described by `manifest` in it."""
        with explained(f"write in {self.path}"):
            for entry in self.path.iterdir():
                if entry.name != "lock":
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
        return self.path / "tasks" / f"{index:07d}.npz"

    def _checkpoint_path(self, index: int) -> Path:
        return self.path / "checkpoints" / f"{index:07d}.npz"

    def finished(self) -> set[int]:
        """Indices of the tasks whose results are safe on disk."""
        with explained(f"read {self.path}"):
            return {
                int(entry.name[:-4])
                for entry in os.scandir(self.path / "tasks")
                if entry.name.endswith(".npz")
            }

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
        try:
            return read_tree(self._task_path(index))
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
        with explained(f"remove {self.path}"):
            # The manifest goes first: without it a half-removed folder is not taken for a run.
            self.manifest_path.unlink(missing_ok=True)
        # What cannot be removed (another run may just be looking for the lock) does no harm.
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()
