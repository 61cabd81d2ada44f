import json

import pytest
from storage_examples import manifest

from kmc_oxy._version import UNKNOWN_SOURCE
from kmc_oxy.storage import StoreError, WorkFolder
from kmc_oxy.storage.manifest import SCHEMA_VERSION


@pytest.fixture
def work(tmp_path):
    folder = WorkFolder(tmp_path / "out.h5")
    folder.acquire()
    folder.begin(manifest())
    yield folder
    folder.release()


def test_manifest_round_trip_and_damage(work):
    assert work.manifest() == manifest()
    text = work.manifest_path.read_text()
    work.manifest_path.write_text(text[:40])
    with pytest.raises(StoreError, match=r"manifest\.json is damaged.*--fresh"):
        work.manifest()
    version = f'"schema_version": {SCHEMA_VERSION}'
    work.manifest_path.write_text(text.replace(version, '"schema_version": 0'))
    with pytest.raises(StoreError, match=r"schema version 0.*--fresh"):
        work.manifest()


def test_a_manifest_that_says_nothing_of_the_kernel(work):
    """As the first runs wrote it; anything else that is missing is damage."""
    content = json.loads(work.manifest_path.read_text())
    del content["kernel_source"]
    work.manifest_path.write_text(json.dumps(content))
    assert work.manifest() == manifest(kernel_source=UNKNOWN_SOURCE)
    del content["run_id"]
    work.manifest_path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"damaged.*--fresh"):
        work.manifest()
