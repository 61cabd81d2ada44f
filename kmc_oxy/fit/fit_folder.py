"""The folder of a fit: its manifest and one file for each finished generation.

A generation file is written atomically when all runs of the generation are finished. Files are
never changed afterwards, so a fit can be stopped at any moment; the search is brought back to its
state by feeding it the recorded generations.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.storage import (
    Manifest,
    RunIdentity,
    StoreError,
    WorkFolder,
    atomic_write,
    check_same,
    lock_folder,
    new_manifest,
    read_tree,
    wrap_os_errors,
    write_tree,
)

Array = NDArray[np.float64]

_GENERATION = re.compile(r"generation-([0-9]{5,})\.npz")


@dataclass(frozen=True, eq=False)
class FinishedGeneration:
    """A finished generation.

    Parameters
    ----------
    stage : str
        ``"search"``; ``"slopes"``: sets around the optimum, for the intervals; ``"check"``: the
        optimum on other devices.
    points : ndarray, shape (sets, d)
        In the unit cube.
    members, seed : int
        Number of devices of the sets that were not left out, and seed of their random numbers.
    devices : ndarray of int, shape (sets,)
        Number of devices of each set: fewer than `members` if it was left out after the first look.
    costs, errors : ndarray, shape (sets,)
        Costs, and standard errors of their difference from the lowest one; infinite and NaN for a
        set without a device. Those of the first look for a set that was left out, the cost raised
        above those of all others (`screening`).
    member_residuals : ndarray, shape (sets, members, n)
        Residuals of each member; NaN for a set without a device, and for the members that a set
        does not have.
    data_errors : ndarray, shape (n,)
        Standard errors of the measurements in the same units.
    library : str
        Library of the search and its version.
    simulated : list
        For each set of the stage ``check``: experiment -> for each of its comparisons what was
        simulated, as `evaluation.GenerationResults.simulated` has it. Empty in other stages.
    """

    stage: str
    points: Array
    members: int
    seed: int
    devices: NDArray[np.int64]
    costs: Array
    errors: Array
    member_residuals: Array
    data_errors: Array
    library: str
    simulated: list[dict[str, list[dict[str, Any]]]]

    @property
    def residuals(self) -> Array:
        """Means over the members of each set, shape (sets, n)."""
        of_sets = zip(self.member_residuals, self.devices, strict=True)
        return np.stack([members[:count].mean(axis=0) for members, count in of_sets])

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """Which sets have a device and all members, shape (sets,)."""
        found: NDArray[np.bool_] = np.isfinite(self.costs) & (self.devices == self.members)
        return found


FIELDS = tuple(field.name for field in fields(FinishedGeneration))


class FitFolder:
    """The folder of one fit; as a context manager it releases its lock at the end of the block.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> FitFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                (self.path / "lock").unlink()
            os.close(self._lock)
            self._lock = None

    @property
    def _manifest_path(self) -> Path:
        return self.path / "manifest.json"

    def begin_or_resume(self, fit: LoadedFit, *, fresh: bool) -> None:
        """Create the folder, or check that it belongs to the same fit; lock it.

        Parameters
        ----------
        fit : LoadedFit
        fresh : bool
            Discard what was computed before.

        Raises
        ------
        StoreError
            If another process has locked it, if it belongs to another fit, or if it cannot be
            written.
        """
        identity = identity_of(fit)
        with wrap_os_errors(f"write in {self.path}"):
            if self.path.exists() and not self.path.is_dir():
                raise StoreError(f"{self.path} is a file: choose another folder with -o")
            self._lock = lock_folder(self.path)
            if self._lock is None:
                raise StoreError(
                    f"another fit is writing in {self.path}: wait for it, or choose another folder"
                )
            if fresh and self._manifest_path.exists():
                self._clear()
            if not self._manifest_path.exists():
                if any(path.name != "lock" for path in self.path.iterdir()):
                    raise StoreError(
                        f"{self.path} has files, but no manifest.json of a fit: choose another "
                        "folder, or remove them"
                    )
                new_manifest(identity).write(self._manifest_path)
                return
        check_same(self.manifest(), identity, str(self.path))

    def manifest(self) -> Manifest:
        """Read the manifest."""
        return Manifest.read(self._manifest_path)

    def exists(self) -> bool:
        """Whether there is a fit in the folder."""
        return self._manifest_path.is_file()

    def _clear(self) -> None:
        """Remove the files of a fit, and nothing else."""
        for path in self.path.iterdir():
            if path.name.startswith("generation-") and path.is_dir():
                shutil.rmtree(path)
            elif _GENERATION.fullmatch(path.name) or path.name in (
                "manifest.json", "best.yaml", "evaluations.h5", "report.html", "fit.png",
            ):  # fmt: skip
                path.unlink()

    def outputs_of(self, number: int) -> tuple[Path, Path]:
        """Outputs that the runs of a generation would have; their work folders are used.

        Parameters
        ----------
        number : int

        Returns
        -------
        (Path, Path)
            Of the first look at its sets, or the only one, and of the second.
        """
        name = f"generation-{number:05d}"
        return self.path / f"{name}.h5", self.path / f"{name}-rest.h5"

    def _path_of(self, number: int) -> Path:
        return self.path / f"generation-{number:05d}.npz"

    def save(self, number: int, generation: FinishedGeneration) -> None:
        """Record a finished generation.

        Parameters
        ----------
        number : int
        generation : FinishedGeneration
        """
        path = self._path_of(number)
        with wrap_os_errors(f"write {path}"), atomic_write(path) as file:
            content = {field: getattr(generation, field) for field in FIELDS}
            write_tree(file, {"run_id": self.manifest().run_id, **content})

    def generations(self) -> Iterator[FinishedGeneration]:
        """The finished generations in order.

        Yields
        ------
        FinishedGeneration

        Raises
        ------
        StoreError
            If a file is damaged or belongs to another fit.
        """
        run_id = self.manifest().run_id
        number = 0
        while (path := self._path_of(number)).exists():
            try:
                content: dict[str, Any] = read_tree(path)
            except StoreError as error:
                raise StoreError(
                    f"{error}: remove that file and those after it, and run the same line again"
                ) from error
            if content.pop("run_id", None) != run_id:
                raise StoreError(
                    f"{path} belongs to another fit: remove it and those after it, and run the "
                    "same line again"
                )
            if content.keys() != set(FIELDS):
                raise StoreError(
                    f"{path} was written by another version of kmc_oxy: begin again with --fresh, "
                    "or choose another folder"
                )
            yield FinishedGeneration(**content)
            number += 1

    def remove_leftovers(self, finished: int) -> None:
        """Remove work folders of finished generations.

        There are some after a kill between the record and the removal of the work folders.

        Parameters
        ----------
        finished : int
            Number of finished generations.
        """
        for number in range(finished):
            for output in self.outputs_of(number):
                shutil.rmtree(WorkFolder(output).path, ignore_errors=True)


def identity_of(fit: LoadedFit) -> RunIdentity:
    """What distinguishes a fit from others; its budget may be raised later.

    Parameters
    ----------
    fit : LoadedFit
    """
    content = json.loads(fit.resolved)
    for key in ("evaluations", "intervals"):
        content["search"].pop(key)
    content.pop("name")
    text = json.dumps(content, sort_keys=True)
    return RunIdentity(
        input_hash=hashlib.sha256(text.encode()).hexdigest(),
        seed=fit.model.search.seed,
        tasks=0,
        input_yaml=fit.text,
        resolved=json.dumps(content),
        overrides=fit.overrides,
    )
