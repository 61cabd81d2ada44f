"""Distributions of barriers: every entry of the table has the mean and width that it states."""

import pickle

import numpy as np
import pytest
from input_faults import MINIMAL

from kmc_oxy.inputs import InputError, at_point
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.schema import (
    DISTRIBUTIONS,
    BarrierDistribution,
    Barriers,
    FlatBarrier,
    GaussianBarrier,
)
from kmc_oxy.inputs.schema.barrier_distributions import ConstantBarrier, ExponentialBarrier

#: A mean and a width determine these, so that they can be imposed on every class.
IMPOSABLE = [distribution for distribution in DISTRIBUTIONS if "of" in vars(distribution)]
#: An example of each of the others.
EXAMPLES: list[BarrierDistribution] = []
COUNT = 200_000
MEAN_EV, WIDTH_EV = 0.4, 0.05


def test_every_distribution_is_tested():
    assert {*IMPOSABLE, *map(type, EXAMPLES)} == set(DISTRIBUTIONS)


@pytest.mark.parametrize(
    "found", [*(distribution.of(MEAN_EV, WIDTH_EV) for distribution in IMPOSABLE), *EXAMPLES]
)
def test_barriers_have_the_mean_and_width_that_they_state(found):
    """Mean within five standard errors, width within 2 %; no barrier is negative."""
    mean, width = found.mean_and_width
    drawn = found.draw(np.random.default_rng(5), COUNT)
    assert drawn.shape == (COUNT,) and drawn.min() >= 0
    assert mean == pytest.approx(MEAN_EV) or found in EXAMPLES
    assert drawn.mean() == pytest.approx(mean, abs=5 * max(width, 1e-12) / np.sqrt(COUNT))
    assert drawn.std() == pytest.approx(width, rel=0.02, abs=1e-12)


@pytest.mark.parametrize("distribution", IMPOSABLE)
def test_every_distribution_can_be_imposed_and_written(distribution):
    name = distribution.model_fields["distribution"].default
    imposed = Barriers.model_validate({"distribution": name})
    assert isinstance(imposed.effective("oxide"), distribution)
    own = {"bulk": distribution.of(MEAN_EV, WIDTH_EV).model_dump()}
    assert isinstance(Barriers.model_validate(own).bulk, distribution)
    assert "eV" in distribution.of(MEAN_EV, WIDTH_EV).text()


def test_imposed_distributions_of_a_zero_mean():
    """A class whose barriers are zero keeps them with every imposed distribution."""
    for distribution in IMPOSABLE:
        found = distribution.of(0.0, 0.0)
        assert found.mean_and_width == (0.0, 0.0)
        assert (found.draw(np.random.default_rng(1), 10) == 0).all()


@pytest.mark.parametrize("imposed", ["flat", "gaussian", "exponential", "constant"])
@pytest.mark.parametrize(
    "own", ["{high: 1e-9}", "{distribution: exponential, scale: 80}", "{low: 100, high: 100}"]
)
def test_a_distribution_is_imposed_on_any_that_is_valid(own, imposed):
    """Also where its parameters are beyond the magnitudes that a user may write."""
    text = f"device: {{barriers: {{distribution: {imposed}, oxide: {own}}}}}\n"
    barriers = loads(text + MINIMAL).model.device.barriers
    drawn = barriers.effective("oxide").draw(np.random.default_rng(5), 100)
    assert drawn.min() >= 0 and drawn.mean() == pytest.approx(barriers.oxide.mean_and_width[0], 0.5)


def test_draws_are_those_of_the_generator():
    """The order of the random numbers is part of the results."""

    def drawn(**barrier):
        made = Barriers.model_validate({"oxide": barrier}).oxide
        return made.draw(np.random.default_rng(3), 1000)

    rng = np.random.default_rng(3)
    expected = rng.normal(0.1, 0.2, 1000)
    while (negative := expected < 0).any():
        expected[negative] = rng.normal(0.1, 0.2, negative.sum())
    np.testing.assert_array_equal(drawn(distribution="gaussian", mean=0.1, sigma=0.2), expected)
    np.testing.assert_array_equal(
        drawn(distribution="flat", low=0.1, high=0.7),
        np.random.default_rng(3).uniform(0.1, 0.7, 1000),
    )
    np.testing.assert_array_equal(
        drawn(distribution="exponential", scale=0.2),
        np.random.default_rng(3).exponential(0.2, 1000),
    )
    assert (drawn(distribution="constant", value=0.3) == 0.3).all()


def test_a_distribution_without_two_moments_cannot_be_made_of_them():
    with pytest.raises(NotImplementedError):
        BarrierDistribution.of(MEAN_EV, WIDTH_EV)


def test_a_given_bound_leaves_the_other_of_its_class():
    text = MINIMAL + "device: {barriers: {first_layer_exit: {low: 0.1 eV}}}\n"
    assert loads(text).model.device.barriers.first_layer_exit == FlatBarrier(low=0.1, high=0.38)


def test_an_imposed_shape_keeps_mean_and_width():
    def shape(name, *overrides):
        text = MINIMAL + f"device: {{barriers: {{distribution: {name}}}}}\n"
        return loads(text, overrides).model.device.barriers.effective("first_layer_exit")

    assert shape("null") == FlatBarrier(low=0.0, high=0.38)
    assert shape("constant") == ConstantBarrier(value=0.19)
    assert shape("exponential") == ExponentialBarrier(scale=0.19)
    gaussian = shape("gaussian")
    assert isinstance(gaussian, GaussianBarrier)
    assert gaussian.mean == 0.19
    assert gaussian.sigma == pytest.approx(0.38 / 12**0.5, rel=1e-15)
    back = shape(
        "flat",
        "device.barriers.first_layer_exit={distribution: gaussian, mean: 0.5, sigma: 0.1}",
    )
    assert back.mean_and_width == pytest.approx((0.5, 0.1), rel=1e-12)


SHARES = (
    "device: {barriers: {interface: "
    "[{share: 5 %, low: 0 eV, high: 0.6 eV}, {low: 0.8, high: 0.9}]}}\n"
)


def test_a_class_may_be_a_list_of_shares():
    """Two separate ranges: the share of the first within five standard errors, each one flat."""
    model = loads(SHARES + MINIMAL).model
    drawn = model.device.barriers.effective("interface").draw(np.random.default_rng(2), COUNT)
    first = drawn < 0.7
    assert first.mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / COUNT))
    assert drawn[first].max() <= 0.6 and drawn[~first].min() >= 0.8
    assert drawn[first].mean() == pytest.approx(0.3, abs=0.01)
    assert drawn[~first].mean() == pytest.approx(0.85, abs=0.001)
    again = type(model).model_validate(model.model_dump(mode="json"))
    assert again == model


def test_entries_of_a_list_of_shares_are_keys():
    model = loads(SHARES + MINIMAL, ["device.barriers.interface.0.share=0.5"]).model
    assert model.device.barriers.interface[0].share == 0.5
    scanned = "scan: {device.barriers.interface.0.share: [0.1, 0.3]}\n"
    model = loads(SHARES + scanned + MINIMAL).model
    assert at_point(model, 1).device.barriers.interface[0].share == 0.3


def test_an_imposed_distribution_keeps_mean_and_width_of_every_share():
    text = SHARES.replace("barriers: {", "barriers: {distribution: constant, ")
    barriers = loads(text + MINIMAL).model.device.barriers
    drawn = barriers.effective("interface").draw(np.random.default_rng(2), 1000)
    assert set(drawn.round(12)) == {0.3, 0.85}


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ("[{share: 0.5}, {share: 0.2}]", "add up to 1 (leave one share out for the rest)"),
        ("[{share: 0.7}, {share: 0.5}, {}]", "at most 1; they add up to 1.2"),
        ("[{}, {}]", "in every entry but one"),
        ("[]", "at least 1 item"),
        ("[{share: 1, distribution: gaussian}]", "interface.0.mean: is required"),
        ("[{share: 1, hgh: 1}]", "did you mean high?"),
        ("[{distribution: mixture}]", "must be one of 'flat'"),
    ],
)
def test_a_wrong_list_of_shares_is_named(shares, fault):
    with pytest.raises(InputError) as error:
        loads(f"device: {{barriers: {{interface: {shares}}}}}\n" + MINIMAL)
    assert fault in str(error.value)


def test_an_input_with_shares_can_be_sent_to_another_process():
    model = loads(SHARES + MINIMAL).model
    assert pickle.loads(pickle.dumps(model)) == model
