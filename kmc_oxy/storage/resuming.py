"""Beginning a run, going on with it, or finding that it is complete: what is on disk decides.

While a run goes on, everything lives in its work folder (`work_folder`); the final file
(`output_file`) is put together from there and takes its name by rename.
"""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass
from pathlib import Path

import h5py

from kmc_oxy._version import KERNEL_SOURCE, __version__
from kmc_oxy.storage.atomic_files import StoreError
from kmc_oxy.storage.output_file import FORMAT, open_output
from kmc_oxy.storage.work_folder import Manifest, WorkFolder


@dataclass(frozen=True)
class Identity:
    """What a run is asked to be, to be compared with what is on disk.

    Parameters
    ----------
    input_hash : str
        Digest of the resolved input without its seed.
    seed : int or None
        The seed asked for; None takes any.
    tasks : int
    input_yaml, resolved : str
        Exact text, and resolved input with its scan as JSON.
    overrides : tuple of str
        Settings made on the command line.
    """

    input_hash: str
    seed: int | None
    tasks: int
    input_yaml: str
    resolved: str
    overrides: tuple[str, ...] = ()


def begin_or_resume(output: Path, identity: Identity, *, fresh: bool = False) -> WorkFolder | None:
    """Find out what there is to do, and take the lock if there is anything.

    Parameters
    ----------
    output : Path
        Final file.
    identity : Identity
        The run wanted.
    fresh : bool
        Begin again whatever was computed before. An earlier complete output stays until the new
        one takes its place.

    Returns
    -------
    WorkFolder or None
        The locked work folder of a run begun or resumed; None if `output` is complete already.

    Raises
    ------
    StoreError
        If another run is writing, what is there belongs to another input, a foreign file or
        another schema version, was begun with another version or kernel, or the place cannot be
        written.
    """
    work = WorkFolder(output)
    if not fresh and not work.exists() and _is_complete(output, identity):
        return None
    if output.is_dir():
        raise StoreError(f"{output} is a folder: choose another output")
    replaces = False
    if fresh and output.exists():
        _refuse_foreign(output)
        replaces = True
    work.acquire()
    try:
        if fresh or not work.exists():
            # Another run may have completed between the look above and the lock.
            if not fresh and _is_complete(output, identity):
                work.remove()
                return None
            work.begin(_manifest(identity, replaces))
            return work
        manifest = work.manifest()
        if output.exists() and _run_id(output) == manifest.run_id:
            # Killed after the final rename, before the folder was gone.
            work.remove()
            return None
        _check_same(manifest, identity, str(work.path))
        if output.exists() and not manifest.replaces:
            raise StoreError(
                f"{output} and {work.path} both exist and belong to different runs: move one away"
            )
        work.tidy()
        return work
    except BaseException:
        work.release()
        raise


def _manifest(identity: Identity, replaces: bool) -> Manifest:
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


def _check_same(
    found: Manifest, wanted: Identity, where: str, *, complete: bool = False
) -> None:
    """Refuse to take `found`, a run in progress or a complete one, for the run wanted."""
    advice = "begin again with --fresh, or choose another output"
    if found.input_hash != wanted.input_hash:
        # A newer version may have changed a default: then the input only seems to be another.
        by = found.kmc_oxy_version
        version = "" if by == __version__ else f" or other defaults (kmc_oxy {by})"
        raise StoreError(f"{where} was computed from another input{version}: {advice}")
    if wanted.seed is not None and found.seed != wanted.seed:
        raise StoreError(f"{where} was computed with seed {found.seed}: {advice}")
    # What is complete was computed by one version; a newer one need not do it again.
    if not complete and found.kmc_oxy_version != __version__:
        raise StoreError(
            f"{where} was begun by kmc_oxy {found.kmc_oxy_version}, this is {__version__}: "
            f"finish it with that version, or {advice}"
        )
    # Between two releases kernels of one version may draw other random numbers.
    if not complete and found.kernel_source != KERNEL_SOURCE:
        raise StoreError(
            f"{where} was begun with another compiled kernel (source {found.kernel_source}, this "
            f"is {KERNEL_SOURCE}): finish it with the installation that began it, or {advice}"
        )


def _is_complete(output: Path, identity: Identity) -> bool:
    """Whether `output` is there and is the run wanted; refuses anything else that is there."""
    if not output.exists():
        return False
    with open_output(output) as file:
        found = file.manifest()
    _check_same(found, identity, str(output), complete=True)
    return True


def _run_id(output: Path) -> str:
    with open_output(output) as file:
        return str(file.attributes["run_id"])


def _refuse_foreign(output: Path) -> None:
    """Never replace a file that this program did not write."""
    try:
        with h5py.File(output, "r") as file:
            ours = file.attrs.get("format") == FORMAT
    except OSError:
        ours = False
    if not ours:
        raise StoreError(f"{output} was not written by kmc_oxy: choose another output")


def progress_of(output: Path) -> tuple[Manifest, int] | None:
    """Manifest and number of finished tasks of the run in progress; None if there is none."""
    work = WorkFolder(output)
    if not work.exists():
        return None
    return work.manifest(), len(work.finished())
