"""The manifest of a run: which run a work folder or an output belongs to."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

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
        advice = "restore it, begin again with --fresh, or choose another output"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content["schema_version"]
            changed = content.pop("digest") != digest_of(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise StoreError(f"{path} is damaged ({reason}): {advice}") from error
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path.parent} has schema version {version}, this program writes "
                f"{SCHEMA_VERSION}: finish it with the version that began it, or begin again with "
                "--fresh"
            )
        if changed:
            raise StoreError(f"{path} was changed after the run began: {advice}")
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
        content = asdict(self)
        with atomic_write(path) as file:
            file.write(json.dumps({**content, "digest": digest_of(content)}, indent=1).encode())


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of a mapping of JSON values, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
