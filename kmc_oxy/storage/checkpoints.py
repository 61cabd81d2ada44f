"""Checkpoints: the states of tasks in progress, and the stamp of every file of a task.

A file of a task contains its run and its task, so that one that was copied over another is not
taken for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kmc_oxy.storage.atomic_files import StoreError, atomic_write
from kmc_oxy.storage.nested_arrays import read_tree, write_tree

log = logging.getLogger(__name__)


def stamped(record: Mapping[str, Any], run_id: str, index: int) -> dict[str, Any]:
    """A record with its run and its task."""
    return {**record, "of_run": run_id, "of_task": index}


def unstamped(record: dict[str, Any], run_id: str, index: int, source: str) -> dict[str, Any]:
    """A record without its stamp.

    Raises
    ------
    StoreError
        If it is of another task or run; `source` names the file.
    """
    run, task = (record.pop(key, None) for key in ("of_run", "of_task"))
    if (run, task) != (run_id, index):
        raise StoreError(f"{source} is not task {index} of this run, but task {task} of run {run}")
    return record


class Checkpoints:
    """The checkpoints of a run.

    Parameters
    ----------
    folder : Path
    run_id : callable
        Returns the name of the run.
    """

    def __init__(self, folder: Path, run_id: Callable[[], str]) -> None:
        self.folder = folder
        self._run_id = run_id

    def path(self, index: int) -> Path:
        """File of a task's checkpoint."""
        return self.folder / f"{index:07d}.npz"

    def save(self, index: int, state: Mapping[str, Any]) -> None:
        """Save the state of a task in progress.

        Parameters
        ----------
        index : int
        state : mapping of str
            As for `write_tree`.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with atomic_write(self.path(index)) as file:
            write_tree(file, stamped(state, self._run_id(), index))

    def load(self, index: int) -> dict[str, Any] | None:
        """Load the state of a task in progress.

        Parameters
        ----------
        index : int

        Returns
        -------
        dict of str, or None
            None if there is no checkpoint, or if it is damaged or of another task: the task then
            starts again and gives the same numbers.
        """
        path = self.path(index)
        if not path.exists():
            return None
        try:
            return unstamped(read_tree(path), self._run_id(), index, str(path))
        except StoreError as error:
            log.warning("%s: task %d starts again", error, index)
            return None
