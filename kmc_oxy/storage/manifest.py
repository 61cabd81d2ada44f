"""The manifest of a run: which run a work folder or an output belongs to."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kmc_oxy._version import UNKNOWN_SOURCE
from kmc_oxy.storage.atomic_files import StoreError, atomic_write

#: Version of the layout of work folders and outputs; incremented whenever either changes.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunIdentity:
    """A requested run, to be compared with what is on disk.

    Parameters
    ----------
    input_hash : str
        Digest of the resolved input without its seed.
    seed : int or None
        The requested seed; None accepts any.
    tasks : int
        Number of tasks.
    input_yaml, resolved : str
        Exact text of the input, and the resolved input including its scan as JSON.
    overrides : tuple of str
        Settings made on the command line.
    """

    input_hash: str
    seed: int | None
    tasks: int
    input_yaml: str
    resolved: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """Description of a run, written once when it begins and checked when it is resumed.

    Parameters
    ----------
    input_hash : str
        Digest of the resolved input without its seed; comments and layout do not change it.
    seed : int
        The requested seed, or the one drawn when the run began.
    tasks : int
        Number of task files of a complete run.
    input_yaml, resolved : str
        Exact text of the input, and the resolved input including its scan as JSON.
    overrides : tuple of str
        Settings made on the command line.
    kmc_oxy_version : str
        Version that computes the run.
    created : str
        When the run began (ISO 8601).
    run_id : str
        Unique name of the run.
    kernel_source : str
        Digest of the source of the compiled kernels that compute the run.
    replaces : bool
        Whether an earlier complete output is replaced at the end.
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
        """Return a unique name for a run."""
        return uuid.uuid4().hex

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest.

        Parameters
        ----------
        path : Path

        Returns
        -------
        Manifest

        Raises
        ------
        StoreError
            If it is missing, damaged or of another schema version.
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
        # The first manifests had no record of the kernels.
        content.setdefault("kernel_source", UNKNOWN_SOURCE)
        if set(content) != {field.name for field in fields(cls)}:
            raise StoreError(f"{path} is damaged (unexpected keys): begin again with --fresh")
        content["overrides"] = tuple(content["overrides"])
        return cls(**content)

    def write(self, path: Path) -> None:
        """Write the manifest atomically.

        Parameters
        ----------
        path : Path

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with atomic_write(path) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())
