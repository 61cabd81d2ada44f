import errno
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray
from storage_examples import SHAPE, complete, identity

from kmc_oxy._version import KERNEL_SOURCE, UNKNOWN_SOURCE
from kmc_oxy.storage import (
    StoreError,
    begin_or_resume,
    check_no_run,
    create_output,
    open_output,
    work_folder,
    wrap_os_errors,
)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.h5"


def test_an_output_in_xarray(output):
    complete(output)
    with xarray.open_dataset(output) as data:
        assert data["g"].dims == ("point", "member", "reading")
        assert data.sizes == SHAPE
        assert data["g"].attrs["units"] == "S" and data["g"].attrs["long_name"] == "a conductance"
        np.testing.assert_array_equal(data["g"][0, 2], [20, 21, 22, 23])
        # A point with fewer readings leaves the rest missing.
        np.testing.assert_array_equal(data["g"][1, 1], [10, 11, 12, np.nan])
        assert data.attrs["complete"] == 1 and data.attrs["seed"] == 3
        assert data.attrs["input_yaml"] == "protocol: 1\n"
        assert "numpy" in json.loads(data.attrs["versions"])
    assert sorted(os.listdir(output.parent)) == ["out.h5"]


def test_long_inputs_fit_into_the_attributes(output):
    text = "# comment\n" * 20000
    complete(output, identity(input_yaml=text, resolved=json.dumps({"x": "y" * 200_000})))
    with open_output(output) as file:
        assert file.attributes["input_yaml"] == text
        assert len(file.resolved["x"]) == 200_000


@pytest.mark.parametrize("said", [True, False])
def test_the_create_output_tells_the_source_of_its_kernel(output, said):
    complete(output)
    with h5py.File(output, "r+") as file:
        versions = json.loads(file.attrs["versions"])
        if not said:  # as the first files were written
            del versions["kernel source"]
            file.attrs["versions"] = json.dumps(versions)
            del file.attrs["manifest_digest"]
    with open_output(output) as file:
        found = file.manifest().kernel_source
    assert found == (KERNEL_SOURCE if said else UNKNOWN_SOURCE)


@pytest.mark.parametrize("cut", [100, 2000, 0.5, 0.95])
def test_truncated_outputs_are_named(output, cut):
    complete(output)
    content = output.read_bytes()
    output.write_bytes(content[: int(cut if cut > 1 else cut * len(content))])
    with pytest.raises(StoreError, match=r"out\.h5"), open_output(output):
        pass


def test_a_flipped_bit_is_found_or_harmless(output):
    """Never other numbers, and no crash: the checksums of HDF5 1.10 cover data and structures."""
    code = """
import pathlib, random, sys
from kmc_oxy.storage import StoreError, open_output
path = pathlib.Path(sys.argv[1])
content = path.read_bytes()

def numbers():
    with open_output(path) as file:
        return {name: item[()].tobytes() for name, item in file.file.items()}

good, refused = numbers(), 0
rng = random.Random(1)
for _ in range(300):
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(damaged)
    try:
        assert numbers() == good
    except StoreError as error:
        assert str(path) in str(error), error
        refused += 1
print(refused)
"""
    complete(output)
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_damaged_data_are_damage_of_the_file_that_is_read(output):
    complete(output)
    with h5py.File(output) as file:
        place = file["g"].id.get_chunk_info(0).byte_offset
    content = bytearray(output.read_bytes())
    content[place] ^= 1
    output.write_bytes(content)
    with (
        pytest.raises(StoreError, match=r"out\.h5 is damaged"),
        open_output(output) as file,
        wrap_os_errors("write other.csv"),
    ):
        file["g"][()]


def test_reading_what_is_not_there(output):
    with pytest.raises(StoreError, match=r"does not exist$"), open_output(output):
        pass
    begin_or_resume(output, identity()).release()
    with pytest.raises(StoreError, match="finish it first"), open_output(output):
        pass


def test_failing_to_assemble_destroys_nothing(output, monkeypatch):
    complete(output)
    before = output.read_bytes()
    work = begin_or_resume(output, identity(input_hash="new"), fresh=True)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(work_folder.os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"), create_output(output, SHAPE) as file:
        file.write_attributes(work.manifest(), {})
    assert output.read_bytes() == before
    assert sorted(os.listdir(output.parent)) == ["out.h5", "out.h5.work"]
    work.release()


def test_a_really_full_file_system(output):
    """Against a limit of the file size, which the kernel enforces like a full disk."""
    code = """
import resource, signal, sys, pathlib
import numpy as np
from kmc_oxy.storage import DatasetSpec, create_output
from kmc_oxy.storage import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with create_output(pathlib.Path(sys.argv[1]), {"point": 20, "reading": 10000}) as file:
        file.create_dataset(DatasetSpec("g", ("point", "reading"), "S", "noise", missing=np.nan))
        rng = np.random.default_rng(0)
        for point in range(20):
            file.write("g", (point,), rng.random(10000))
except StoreError as error:
    print("StoreError:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("StoreError: cannot write") and done.stdout.count("\n") == 1
    assert os.listdir(output.parent) == []


def test_assembly_takes_bounded_memory(output):
    """400 MB of tasks pass through in far less."""
    code = """
import pathlib, resource, sys
import numpy as np
from kmc_oxy.storage import DatasetSpec, create_output
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
shape = {"point": 1, "member": 2000, "row": 1, "column": 1, "reading": 2000, "layer": 14}
before = peak()
with create_output(pathlib.Path(sys.argv[1]), shape) as file:
    file.create_dataset(DatasetSpec("p", tuple(shape), "1", "profile", missing=np.nan))
    task = np.tile(np.arange(14) / 784, (1, 1, 2000, 1))
    for member in range(2000):
        file.write("p", (0, member), task)
print((peak() - before) / 1e6)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 60


def test_datasets_do_not_depend_on_when_they_were_written(tmp_path):
    contents = []
    for name in ("a.h5", "b.h5"):
        with h5py.File(complete(tmp_path / name), "r") as file:
            contents.append(
                {key: (item.dtype, item.chunks, item[()].tobytes()) for key, item in file.items()}
            )
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["resolved", "input_yaml", "seed", "run_id", "versions"])
def test_changed_attributes_are_found(output, name):
    complete(output)
    with h5py.File(output, "r+") as file:
        value = file.attrs[name]
        file.attrs[name] = value + 1 if name == "seed" else value.replace("1", "2") + " "
    message = r"attributes of .*out\.h5 were changed"
    with pytest.raises(StoreError, match=message), open_output(output):
        pass


def _rename(file):
    file.move("g", "h")


def _remove(file):
    del file["g"]


def _replace(file, **changes):
    """Another dataset under the name, with the attributes and dimensions of the first."""
    before = file["g"]
    values = before[()].astype(changes.get("dtype", before.dtype))
    del file["g"]
    dataset = file.create_dataset("g", data=values[..., : changes.get("readings")])
    for axis, name in enumerate(changes.get("dimensions", ("point", "member", "reading"))):
        dataset.dims[axis].attach_scale(file[name])
    dataset.attrs["units"] = changes.get("unit", "S")
    dataset.attrs["long_name"] = "a conductance"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_rename, "dataset g is missing"),
        (_remove, "dataset g is missing"),
        (lambda file: file.move("reading", "readout"), "not .*readout"),
        (lambda file: _replace(file, readings=3), r"shape of .* g .*\[2, 3, 4\], not \[2, 3, 3\]"),
        (lambda file: _replace(file, dtype="f4"), "type of .* g .*float64, not float32"),
        (lambda file: _replace(file, dimensions=("point", "member", "row")), "dimensions of .* g "),
        (lambda file: _replace(file, dimensions=("point",)), "dimensions of .* g "),
        (lambda file: _replace(file, unit="A"), "attributes of .* g "),
        (lambda file: file.create_dataset("mine", data=1), "dataset mine that the run did not"),
        (lambda file: file.create_group("mine"), "damaged"),
        (lambda file: file.attrs.__delitem__("layout"), "attributes .* were changed"),
    ],
)  # fmt: skip
def test_a_dataset_that_is_not_as_described_is_named_on_opening(output, change, message):
    complete(output)
    with h5py.File(output, "r+") as file:
        change(file)
    with pytest.raises(StoreError, match=message) as caught, open_output(output):
        pass
    assert "out.h5" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_an_earlier_version_has_no_layout(output):
    complete(output)
    with h5py.File(output, "r+") as file:
        del file.attrs["layout"], file.attrs["manifest_digest"]
    with open_output(output) as file:
        assert file["g"].shape == (2, 3, 4)


def test_a_file_without_the_digest_is_one_of_an_earlier_version(output):
    complete(output)
    with h5py.File(output, "r+") as file:
        del file.attrs["manifest_digest"]
    with open_output(output) as file:
        assert file.manifest().seed == 3


def test_no_run_and_no_folder_is_replaced(output, tmp_path):
    complete(output)
    link = tmp_path / "link.png"
    link.symlink_to(output)
    for path in (output, link):
        with pytest.raises(StoreError, match="is the output of a run"):
            check_no_run(path)
    with pytest.raises(StoreError, match="is a folder"):
        check_no_run(tmp_path)
    with pytest.raises(StoreError, match="name is too long"):
        check_no_run(tmp_path / ("x" * 300))
    begin_or_resume(tmp_path / "next.h5", identity()).release()
    with pytest.raises(StoreError, match="unfinished run"):
        check_no_run(tmp_path / "next.h5")
    (tmp_path / "picture.png").write_bytes(b"old")
    check_no_run(tmp_path / "picture.png")
    check_no_run(tmp_path / "new.png")
