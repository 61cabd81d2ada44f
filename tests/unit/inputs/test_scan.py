"""The grid of a scan, the input at its points, and faults of its values."""

import json

import pytest
from input_faults import MINIMAL, TRAIN, faults_of, only_fault_of

from kmc_oxy.inputs import InputError, at_point, n_points
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.scan import point_values
from kmc_oxy.inputs.schema import Input


def test_a_scan_is_a_grid_whose_last_key_is_fastest():
    text = TRAIN + "scan: {device.temperature: [70, 80 K], protocol.0.train.voltage: [1, 2, 3]}\n"
    model = loads(text).model
    assert n_points(model) == 6
    points = [at_point(model, point) for point in range(6)]
    assert [(p.device.temperature, p.protocol[0].body.voltage) for p in points] == [
        (70, 1), (70, 2), (70, 3), (80, 1), (80, 2), (80, 3),
    ]  # fmt: skip
    assert point_values(model, 4) == {"device.temperature": "80 K", "protocol.0.train.voltage": 2}
    assert all(point.scan == {} for point in points)
    assert points[0].protocol[0].body.count == 50
    for outside in (-1, 6):
        with pytest.raises(IndexError):
            at_point(model, outside)


def test_without_a_scan_there_is_one_point():
    model = loads(MINIMAL).model
    assert n_points(model) == 1
    assert at_point(model, 0) == model


def test_a_point_survives_the_resolved_input():
    text = TRAIN + "scan: {device.barriers.distribution: [flat, gaussian]}\n"
    loaded = loads(text)
    again = Input.model_validate(json.loads(loaded.resolved))
    assert at_point(again, 1) == at_point(loaded.model, 1)
    assert at_point(again, 1).device.barriers.distribution == "gaussian"


def test_values_of_a_grid_must_go_together():
    text = MINIMAL + (
        "scan:\n  device.barriers.bulk.low: [0.3, 0.5]\n  device.barriers.bulk.high: [0.6, 0.4]\n"
    )
    assert "low (0.5 eV) above high (0.4 eV)" in only_fault_of(text)
    assert n_points(loads(text.replace("0.5]", "0.4]")).model) == 4


def test_scan_and_other_faults_are_reported_together():
    text = "scan: {device.temperature: [1, -1]}\ndevice: {oxygen: {filling: 2}}\n" + MINIMAL
    first, second = faults_of(text)
    assert first.startswith("in.yaml:1:32: scan.device.temperature.1: ")
    assert second.startswith("in.yaml:2:28: device.oxygen.filling: ")


def test_every_point_of_a_scan_is_checked():
    """One value of one key, in the last combination of a grid of 1,000 points."""
    values = ", ".join(["1 nm"] * 99 + ["0.3 nm"])
    text = (
        f"{TRAIN}scan:\n  device.temperature: [{', '.join(['76'] * 10)}]\n"
        f"  conductance.slab: [{values}]\n"
    )
    with pytest.raises(InputError) as caught:
        loads(text)
    (fault,) = caught.value.faults
    assert fault.key == "scan.conductance.slab.99"
    assert "device.lattice.organic_thickness" in fault.message


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        ("device.temperature: [{}]".format(", ".join(["76"] * 10_001)), "has 10,001 points"),
        (
            "\n  ".join(f"{key}: [{', '.join(['0.1'] * 1000)}]" for key in (
                "device.field.lsmo_share", "device.field.oxide_share", "conductance.background",
                "device.oxygen.filling",
            )),
            "has 1,000,000,000,000 points",
        ),
        (
            "protocol: [{}]\n  device.temperature: [{}]".format(
                ", ".join(["[{}]".format(", ".join(["read: {voltage: 1}"] * 300))] * 30),
                ", ".join(["76"] * 300),
            ),
            "values of all points together",
        ),
    ],
)  # fmt: skip
def test_a_scan_that_is_too_large_is_refused_without_expanding_it(scan, words):
    with pytest.raises(InputError, match=words) as caught:
        loads(f"{TRAIN}scan:\n  {scan}\n")
    (fault,) = caught.value.faults
    assert fault.key == "scan" and fault.line > 1


def test_linked_keys_are_one_axis_of_the_grid():
    text = TRAIN + (
        "scan:\n"
        "  zip: {protocol.0.train.voltage: [1, 2], protocol.0.train.duration: [1 ms, 5 ms]}\n"
        "  device.temperature: [70, 80, 90]\n"
    )
    model = loads(text).model
    assert n_points(model) == 6
    points = [at_point(model, point) for point in range(6)]
    assert [
        (p.protocol[0].body.voltage, p.protocol[0].body.duration, p.device.temperature)
        for p in points
    ] == [(1, 1e-3, t) for t in (70, 80, 90)] + [(2, 5e-3, t) for t in (70, 80, 90)]
    assert list(point_values(model, 5)) == [
        "protocol.0.train.voltage", "protocol.0.train.duration", "device.temperature",
    ]  # fmt: skip
    again = Input.model_validate(json.loads(loads(text).resolved))
    assert at_point(again, 4) == points[4]
    override = "scan.zip.protocol.0.train.duration=[2 ms, 4 ms]"
    assert at_point(loads(text, [override]).model, 3).protocol[0].body.duration == 4e-3


def test_a_range_is_the_list_of_its_values():
    text = TRAIN + (
        "scan:\n"
        "  protocol.0.train.duration: {from: 1 ms, to: 1 s, steps: 4, scale: log}\n"
        "  protocol.0.train.count: {from: 10, to: 20, steps: 3}\n"
    )
    model = loads(text).model
    assert model.scan == {
        "protocol.0.train.duration": ("1 ms", "10 ms", "100 ms", "1 s"),
        "protocol.0.train.count": (10, 15, 20),
    }


@pytest.mark.parametrize(
    ("scan", "place", "words"),
    [
        ("{device.temperature: 80 K}", "3:28: scan.device.temperature", "a list or a range"),
        ("{device.temperature: []}", "3:8: scan.device.temperature", "at least 1 item"),
        ("{device.temperature: {from: 1 K}}", "3:8: scan.device.temperature", "from, to and steps"),
        (
            "{device.temperature: {from: 70 K, to: 80 K, steps: 1}}",
            "3:8: scan.device.temperature",
            "2 to 10,000 steps",
        ),
        (
            "{device.temperature: {from: 1 K, to: 80 K, steps: 2, scale: ln}}",
            "3:8: scan.device.temperature",
            "linear, log",
        ),
        (
            "{device.temperature: {from: 70 K, to: 9000 K, steps: 2}}",
            "3:8: scan.device.temperature",
            "at most 2000 K (got '9000 K' of the range)",
        ),
        ("{zip: true}", "3:13: scan.zip", "a mapping of the linked keys"),
        (
            "{zip: {device.temperature: [70, 80], protocol.0.train.count: [1]}}",
            "3:8: scan.zip",
            "2 of device.temperature, 1 of protocol.0.train.count",
        ),
        (
            "{zip: {device.temperature: [70, -1], protocol.0.train.count: [1, 2]}}",
            "3:39: scan.zip.device.temperature.1",
            "greater than 0 K (got -1)",
        ),
        (
            "{zip: {device.temprature: [70]}}",
            "3:14: scan.zip.device.temprature",
            "did you mean temperature?",
        ),
        (
            "{device.temperature: [70], zip: {device.temperature: [70]}}",
            "3:40: scan.zip.device.temperature",
            "beside zip",
        ),
    ],
)
def test_faults_of_links_and_ranges_have_their_place(scan, place, words):
    line = only_fault_of(f"{TRAIN}scan: {scan}\n")
    assert line.startswith(f"in.yaml:{place}: ") and words in line, line
