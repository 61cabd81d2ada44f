"""The names that others script against are importable from the package itself."""

import subprocess
import sys

import pytest

import kmc_oxy


@pytest.mark.parametrize("name", ["Engine", "Landscape", "FilamentNetwork", "solve_crossbar"])
def test_public_name(name):
    found = getattr(kmc_oxy, name)
    assert found.__name__ == name and name in dir(kmc_oxy)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'Enginee'"):
        _ = kmc_oxy.Enginee


def test_the_package_alone_imports_nothing_heavy():
    code = "import sys, kmc_oxy; print(sorted({'numpy', 'scipy', 'h5py'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
