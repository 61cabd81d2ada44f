import io

import numpy as np
import pytest

from kmc_oxy.storage import StoreError, read_tree, write_tree


def same(a, b):
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


TREE = {
    "array": np.arange(6.0).reshape(2, 3),
    "empty": np.zeros((0, 4), dtype=np.int8),
    "flags": np.array([True, False]),
    "nan": float("nan"),
    "big": 2**127 + 1,
    "nested": {"list": [1, None, {"array": 1.5}], "tuple": (1, "x", np.float32(2).item())},
    "raw": b"\x00\xff",
    "map": {"map": True},
    "tiny": 5e-324,
}


def test_trees_come_back_as_they_were(tmp_path):
    path = tmp_path / "tree.npz"
    with open(path, "wb") as file:
        write_tree(file, TREE)
    assert same(read_tree(path), TREE)


@pytest.mark.parametrize("bad", [{1: 2}, {"a": object()}, {"a": {1, 2}}])
def test_what_cannot_be_stored_is_refused(bad):
    with pytest.raises(TypeError):
        write_tree(io.BytesIO(), bad)


def test_damage_is_noticed_wherever_it_is(tmp_path):
    """Cut or flip a byte anywhere: an error, or (in padding) the very same content."""
    buffer = io.BytesIO()
    write_tree(buffer, TREE)
    whole = buffer.getvalue()
    path = tmp_path / "tree.npz"
    rng = np.random.default_rng(0)
    noticed = 0
    for trial in range(300):
        place = int(rng.integers(len(whole)))
        if trial % 2:
            content = whole[:place]
        else:
            content = bytearray(whole)
            content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            found = read_tree(path)
        except StoreError as error:
            assert "damaged" in str(error) and "tree.npz" in str(error)
            noticed += 1
        else:
            assert same(found, TREE)
    assert noticed > 200


def test_a_tree_without_a_dictionary_at_its_root_is_damaged(tmp_path):
    path = tmp_path / "tree.npz"
    with open(path, "wb") as file:
        write_tree(file, [1, 2])
    with pytest.raises(StoreError, match=r"tree\.npz is damaged \(not a dictionary\)"):
        read_tree(path)
