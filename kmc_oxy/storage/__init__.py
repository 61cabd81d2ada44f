"""Files of a run: atomic writes, the work folder of an unfinished run, and the HDF5 output.

Does not depend on what the stored numbers mean. May import only the version of the package.
"""

from kmc_oxy.storage.atomic_files import (
    StoreError,
    atomic_rename,
    atomic_write,
    remove_unfinished,
    wrap_os_errors,
)
from kmc_oxy.storage.deferred_error_file import DeferredErrorFile
from kmc_oxy.storage.file_locks import lock_folder
from kmc_oxy.storage.manifest import Manifest, RunIdentity
from kmc_oxy.storage.nested_arrays import read_tree, write_tree
from kmc_oxy.storage.output_file import (
    DatasetSpec,
    OutputFile,
    OutputWriter,
    check_no_run,
    create_output,
    open_output,
    string_type,
)
from kmc_oxy.storage.resuming import begin_or_resume, check_same, new_manifest, progress_of
from kmc_oxy.storage.task_archives import TaskArchiver, max_single_files
from kmc_oxy.storage.work_folder import WorkFolder

__all__ = [
    "DatasetSpec",
    "DeferredErrorFile",
    "Manifest",
    "OutputFile",
    "OutputWriter",
    "RunIdentity",
    "StoreError",
    "TaskArchiver",
    "WorkFolder",
    "atomic_rename",
    "atomic_write",
    "begin_or_resume",
    "check_no_run",
    "check_same",
    "create_output",
    "lock_folder",
    "max_single_files",
    "new_manifest",
    "open_output",
    "progress_of",
    "read_tree",
    "remove_unfinished",
    "string_type",
    "wrap_os_errors",
    "write_tree",
]
