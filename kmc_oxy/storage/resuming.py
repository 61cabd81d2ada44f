"""Decide from the files on disk whether a run begins, is resumed or is complete.

The files of an unfinished run are in its work folder (`work_folder`). The output (`output_file`)
is assembled from them at the end.
"""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kmc_oxy._version import KERNEL_SOURCE, __version__
from kmc_oxy.storage.atomic_files import StoreError, require_file_name
from kmc_oxy.storage.manifest import Manifest, RunIdentity
from kmc_oxy.storage.output_file import is_output, open_output
from kmc_oxy.storage.work_folder import WorkFolder

#: Number of keys that a message about another input lists.
MAX_LISTED_KEYS = 6


def begin_or_resume(
    output: Path, identity: RunIdentity, *, fresh: bool = False
) -> WorkFolder | None:
    """Begin or resume a run and lock its work folder, unless the run is complete.

    Parameters
    ----------
    output : Path
        Output of the run.
    identity : RunIdentity
        The requested run.
    fresh : bool
        Begin again and discard what was computed before. An earlier complete output is kept until
        the new one replaces it.

    Returns
    -------
    WorkFolder or None
        The locked work folder of the run; None if `output` is complete already.

    Raises
    ------
    StoreError
        If another run is writing; if the files belong to another input, seed, program or schema
        version; if an unfinished run was begun by another version or kernel; or if the folder
        cannot be written.
    """
    require_file_name(output, f"write {output}")
    work = WorkFolder(output)
    if not fresh and not work.exists() and _is_complete(output, identity):
        return None
    replaces = False
    if fresh and output.exists():
        _check_written_by_kmc_oxy(output)
        replaces = True
    work.acquire()
    try:
        if fresh or not work.exists():
            # Another run may have completed between the check above and the lock.
            if not fresh and _is_complete(output, identity):
                work.remove()
                return None
            if not fresh and work.has_results():
                raise StoreError(
                    f"{work.path} has results of finished tasks, but no manifest.json: restore "
                    "it, choose another output, or discard the results with --fresh"
                )
            work.begin(new_manifest(identity, replaces))
            return work
        manifest = work.manifest()
        if output.exists() and _run_id(output) == manifest.run_id:
            # Killed after the final rename and before the folder was removed.
            work.remove()
            return None
        check_same(manifest, identity, str(work.path))
        if output.exists() and not manifest.replaces:
            raise StoreError(
                f"{output} and {work.path} both exist and belong to different runs: move one away"
            )
        work.remove_leftovers()
        return work
    except BaseException:
        work.release()
        raise


def new_manifest(identity: RunIdentity, replaces: bool = False) -> Manifest:
    """The manifest of a run that begins now.

    Parameters
    ----------
    identity : RunIdentity
        The requested run; without a seed one is drawn.
    replaces : bool
        Whether an earlier complete output is replaced at the end.

    Returns
    -------
    Manifest
    """
    return Manifest(
        input_hash=identity.input_hash,
        seed=secrets.randbits(63) if identity.seed is None else identity.seed,
        tasks=identity.tasks,
        input_yaml=identity.input_yaml,
        resolved=identity.resolved,
        overrides=identity.overrides,
        kmc_oxy_version=__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        run_id=Manifest.new_run_id(),
        kernel_source=KERNEL_SOURCE,
        replaces=replaces,
    )


def check_same(found: Manifest, wanted: RunIdentity, where: str, *, complete: bool = False) -> None:
    """Refuse to go on with a run that is not the run wanted.

    Parameters
    ----------
    found : Manifest
        Of an unfinished or a complete run.
    wanted : RunIdentity
    where : str
        Name of its file or folder, for the message.
    complete : bool
        Whether the run is complete, so that another version may read it.

    Raises
    ------
    StoreError
    """
    advice = "begin again with --fresh, or choose another output"
    if found.input_hash != wanted.input_hash:
        # A newer version with other defaults gives the same input another hash.
        by = found.kmc_oxy_version
        version = "" if by == __version__ else f" or other defaults (kmc_oxy {by})"
        keys = differing_keys(found.resolved, wanted.resolved)
        raise StoreError(f"{where} was computed from another input{version}{keys}: {advice}")
    if wanted.seed is not None and found.seed != wanted.seed:
        raise StoreError(f"{where} was computed with seed {found.seed}: {advice}")
    # A complete run was computed by one version; a newer version accepts it.
    if not complete and found.kmc_oxy_version != __version__:
        raise StoreError(
            f"{where} was begun by kmc_oxy {found.kmc_oxy_version}, this is {__version__}: "
            f"finish it with that version, or {advice}"
        )
    # Between releases, kernels of the same version can draw different random numbers.
    if not complete and found.kernel_source != KERNEL_SOURCE:
        raise StoreError(
            f"{where} was begun with another compiled kernel (source {found.kernel_source}, this "
            f"is {KERNEL_SOURCE}): finish it with the installation that began it, or {advice}"
        )


def differing_keys(found: str, wanted: str) -> str:
    """Keys with different values in two resolved inputs, as part of a message.

    Parameters
    ----------
    found, wanted : str
        JSON of the input of the files, and of the input requested.

    Returns
    -------
    str
        Empty if there is no difference; of many keys only the first.
    """
    try:
        before, now = (dict(_leaves(json.loads(text), "")) for text in (found, wanted))
    except ValueError:
        return ""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    keys = [key for key in keys if key != "ensemble.seed"]
    texts = [
        f"{key} {before.get(key, 'absent')} there, {now.get(key, 'absent')} now"
        for key in keys[:MAX_LISTED_KEYS]
    ]
    if len(keys) > MAX_LISTED_KEYS:
        texts.append(f"and {len(keys) - MAX_LISTED_KEYS} more keys")
    return f" ({'; '.join(texts)})" if texts else ""


def _leaves(data: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Dotted key and value of every scalar of an input."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(data, list) and data:
        for index, value in enumerate(data):
            yield from _leaves(value, f"{prefix}.{index}")
    else:
        text = json.dumps(data, ensure_ascii=False)
        yield prefix, text if len(text) <= 40 else text[:37] + "..."


def _is_complete(output: Path, identity: RunIdentity) -> bool:
    """Whether `output` exists; a StoreError if it is not the run wanted."""
    if not output.exists():
        return False
    with open_output(output) as file:
        found = file.manifest()
    check_same(found, identity, str(output), complete=True)
    return True


def _run_id(output: Path) -> str:
    with open_output(output) as file:
        return str(file.attributes["run_id"])


def _check_written_by_kmc_oxy(output: Path) -> None:
    """Raise a StoreError for a file of another program, which must not be replaced."""
    if not is_output(output):
        raise StoreError(f"{output} was not written by kmc_oxy: choose another output")


def progress_of(output: Path) -> tuple[Manifest, int] | None:
    """Find an unfinished run.

    Parameters
    ----------
    output : Path
        Output of the run.

    Returns
    -------
    (Manifest, int) or None
        Its manifest and number of finished tasks; None if there is no unfinished run.

    Raises
    ------
    StoreError
        If its files are damaged or cannot be read.
    """
    require_file_name(output, f"read {output}")
    work = WorkFolder(output)
    if not work.exists():
        return None
    return work.manifest(), len(work.finished())
