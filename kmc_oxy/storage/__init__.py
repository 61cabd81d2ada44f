"""Files: written whole or not at all, work folder of an unfinished run, final HDF5 file.

Knows nothing of what the numbers mean. May import only the version of the package.
"""

from kmc_oxy.storage.atomic_files import StoreError, explained, read_tree, replacing, taking_place
from kmc_oxy.storage.hdf5_disk_file import PatientFile
from kmc_oxy.storage.output_file import (
    Dataset,
    FinalFile,
    OutputFile,
    final_file,
    open_output,
    string_type,
)
from kmc_oxy.storage.resuming import Identity, begin_or_resume, progress_of
from kmc_oxy.storage.task_archives import Packer, single_files
from kmc_oxy.storage.work_folder import WorkFolder

__all__ = [
    "Dataset",
    "FinalFile",
    "Identity",
    "OutputFile",
    "Packer",
    "PatientFile",
    "StoreError",
    "WorkFolder",
    "begin_or_resume",
    "explained",
    "final_file",
    "open_output",
    "progress_of",
    "read_tree",
    "replacing",
    "single_files",
    "string_type",
    "taking_place",
]
