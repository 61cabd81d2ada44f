import json
import random

import pytest
from storage_examples import manifest

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


def test_any_change_of_a_manifest_is_found(work):
    """Layout does not matter, every value does."""
    content = json.loads(work.manifest_path.read_text())
    work.manifest_path.write_text(json.dumps(dict(reversed(content.items())), indent=7))
    assert work.manifest() == manifest()
    for key, value in content.items():
        for other in (None, [value], f"{value} ", 8):
            work.manifest_path.write_text(json.dumps({**content, key: other}))
            with pytest.raises(StoreError, match=r"manifest\.json|schema version"):
                work.manifest()
        work.manifest_path.write_text(json.dumps({k: v for k, v in content.items() if k != key}))
        with pytest.raises(StoreError, match=r"manifest\.json"):
            work.manifest()


def test_random_damage_of_a_manifest_is_found_or_harmless(work):
    rng = random.Random(3)
    text = work.manifest_path.read_bytes()
    for _ in range(400):
        damaged = bytearray(text)
        for _ in range(rng.choice([1, 1, 2, 9])):
            place = rng.randrange(len(damaged))
            if rng.random() < 0.6:
                damaged[place] = rng.choice([rng.randrange(256), ord("0"), ord("9"), ord('"')])
            elif rng.random() < 0.5:
                del damaged[place : place + rng.randrange(1, 30)]
            else:
                damaged[place:place] = damaged[: rng.randrange(1, 40)]
        work.manifest_path.write_bytes(bytes(damaged))
        try:
            assert work.manifest() == manifest()
        except StoreError as error:
            assert "manifest.json" in str(error) or "schema version" in str(error)
            assert "--fresh" in str(error)
