"""Quenched barriers of the bonds: their distributions, and the classes of bonds.

A distribution is a subclass of `BarrierDistribution` and its entry in `DISTRIBUTIONS`. A class of
bonds has one distribution, or a list of shares, each with its own.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Discriminator, Field, Tag, create_model, model_validator

from kmc_oxy.inputs.schema.fields import (
    Energy,
    Fraction,
    Frequency,
    Section,
    Whole,
    dimension_of,
)
from kmc_oxy.units import format_quantity


class BarrierDistribution(Section):
    """Distribution of the barriers of one class of bonds: base of all distributions.

    A subclass has a key `distribution` whose default is its name.
    """

    @property
    @abstractmethod
    def mean_and_width(self) -> tuple[float, float]:
        """Mean and standard deviation, eV."""

    @classmethod
    def of(cls, mean: float, width: float) -> BarrierDistribution:
        """Make the distribution from a mean and a width.

        `device.barriers.distribution` can impose the distributions that define this method.

        Parameters
        ----------
        mean, width : float
            Mean and standard deviation (eV), not negative. The width has no effect if the
            distribution has no parameter for it. They follow from other parameters and may lie
            beyond the magnitudes that a user may write.

        Returns
        -------
        BarrierDistribution

        Raises
        ------
        NotImplementedError
            If a mean and a width do not determine the distribution.
        """
        raise NotImplementedError

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw independent barriers.

        Parameters
        ----------
        rng : numpy.random.Generator
        count : int

        Returns
        -------
        ndarray, shape (count,)
            Barriers (eV), none of them negative.
        """

    def text(self) -> str:
        """Parameters as a user would write them."""
        return ", ".join(
            format_quantity(getattr(self, name), dimension)
            for name, field in type(self).model_fields.items()
            if (dimension := dimension_of(field)) and name != "share"
        )


class FlatBarrier(BarrierDistribution):
    """Barriers distributed uniformly between two energies."""

    distribution: Literal["flat"] = Field(default="flat", description="name")
    low: Energy = Field(default=0.0, ge=0, description="lowest barrier")
    high: Energy = Field(default=1.0, ge=0, description="highest barrier")

    @model_validator(mode="after")
    def _low_below_high(self) -> FlatBarrier:
        if self.low > self.high:
            raise ValueError(f"must not have low ({self.low:g} eV) above high ({self.high:g} eV)")
        return self

    @property
    def mean_and_width(self) -> tuple[float, float]:
        """Mean and standard deviation, eV."""
        return (self.low + self.high) / 2, (self.high - self.low) / math.sqrt(12)

    @classmethod
    def of(cls, mean: float, width: float) -> FlatBarrier:
        # Narrower than `width` where the lowest barrier would be negative.
        half = min(math.sqrt(3) * width, mean)
        return cls.model_construct(low=mean - half, high=mean + half)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        return rng.uniform(self.low, self.high, count)

    def text(self) -> str:
        low, high = (format_quantity(bound, "energy") for bound in (self.low, self.high))
        return f"{low} to {high}"


class GaussianBarrier(BarrierDistribution):
    """Normally distributed barriers, truncated at zero."""

    distribution: Literal["gaussian"] = Field(default="gaussian", description="name")
    mean: Energy = Field(ge=0, description="mean before truncation")
    sigma: Energy = Field(ge=0, description="standard deviation before truncation")

    @property
    def mean_and_width(self) -> tuple[float, float]:
        """Mean and standard deviation before truncation, eV."""
        return self.mean, self.sigma

    @classmethod
    def of(cls, mean: float, width: float) -> GaussianBarrier:
        return cls.model_construct(mean=mean, sigma=width)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        barriers = rng.normal(self.mean, self.sigma, count)
        while (negative := np.flatnonzero(barriers < 0)).size:
            barriers[negative] = rng.normal(self.mean, self.sigma, negative.size)
        return barriers


class ExponentialBarrier(BarrierDistribution):
    """Exponentially distributed barriers."""

    distribution: Literal["exponential"] = Field(default="exponential", description="name")
    scale: Energy = Field(gt=0, description="mean barrier")

    @property
    def mean_and_width(self) -> tuple[float, float]:
        """Mean and standard deviation, eV: the same number."""
        return self.scale, self.scale

    @classmethod
    def of(cls, mean: float, width: float) -> BarrierDistribution:
        return cls.model_construct(scale=mean) if mean > 0 else ConstantBarrier(value=0.0)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        return rng.exponential(self.scale, count)


class ConstantBarrier(BarrierDistribution):
    """One barrier for all bonds of the class."""

    distribution: Literal["constant"] = Field(default="constant", description="name")
    value: Energy = Field(ge=0, description="the barrier")

    @property
    def mean_and_width(self) -> tuple[float, float]:
        """The barrier and zero, eV."""
        return self.value, 0.0

    @classmethod
    def of(cls, mean: float, width: float) -> ConstantBarrier:
        return cls.model_construct(value=mean)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        return np.full(count, self.value)


#: All distributions, in the order of the reference page.
DISTRIBUTIONS: tuple[type[BarrierDistribution], ...] = (
    FlatBarrier,
    GaussianBarrier,
    ExponentialBarrier,
    ConstantBarrier,
)
BY_NAME = {cls.model_fields["distribution"].default: cls for cls in DISTRIBUTIONS}
# Those that define `of`.
_IMPOSABLE = {name: cls for name, cls in BY_NAME.items() if "of" in vars(cls)}

#: Stands for a list of shares where pydantic names the distribution of a class.
MIXTURE = "mixture"
MAX_SHARES = 20


class BarrierMixture:
    """Shares of the bonds of a class, each with its own distribution.

    Parameters
    ----------
    parts : sequence of (float, BarrierDistribution)
        Shares, which add up to 1, and distributions.
    """

    def __init__(self, parts: Sequence[tuple[float, BarrierDistribution]]) -> None:
        self.parts = tuple(parts)

    @classmethod
    def of_shares(cls, shares: Sequence[BarrierDistribution]) -> BarrierMixture:
        """The mixture that a list of the input describes.

        Parameters
        ----------
        shares : sequence of BarrierDistribution
            With a `share` each; one without gets the rest.
        """
        given: list[float | None] = [getattr(each, "share", None) for each in shares]
        rest = max(0.0, 1.0 - math.fsum(share for share in given if share is not None))
        known = [rest if share is None else share for share in given]
        return cls(list(zip(known, shares, strict=True)))

    def imposed(self, distribution: type[BarrierDistribution]) -> BarrierMixture:
        """The mixture with another distribution in every part, of that part's mean and width.

        Parameters
        ----------
        distribution : type of BarrierDistribution
            One that defines `of`.
        """
        return BarrierMixture(
            [(share, distribution.of(*part.mean_and_width)) for share, part in self.parts]
        )

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw independent barriers, as `BarrierDistribution.draw`."""
        bounds = np.cumsum([share for share, _ in self.parts])[:-1]
        chosen = np.searchsorted(bounds, rng.random(count), side="right")
        barriers = np.empty(count)
        for number, (_, part) in enumerate(self.parts):
            own = np.flatnonzero(chosen == number)
            barriers[own] = part.draw(rng, own.size)
        return barriers

    def text(self) -> str:
        """Shares and parameters."""
        return "; ".join(f"{100 * share:g} % {part.text()}" for share, part in self.parts)


def distribution_name(model: type[Section]) -> str | None:
    """Name of the distribution that a section describes, with or without a share.

    Parameters
    ----------
    model : type of Section

    Returns
    -------
    str or None
        None if the section describes no distribution.
    """
    return next((name for name, cls in BY_NAME.items() if issubclass(model, cls)), None)


def _name_of(value: Any) -> str:
    """Name of the distribution that a mapping or a model describes; `MIXTURE` of a list."""
    if isinstance(value, (list, tuple)):
        return MIXTURE
    if isinstance(value, dict):
        return str(value.get("distribution", "flat"))
    return str(getattr(value, "distribution", "flat"))


def _shares_add_up(parts: tuple[BarrierDistribution, ...]) -> tuple[BarrierDistribution, ...]:
    given = [share for part in parts if (share := getattr(part, "share", None)) is not None]
    rests, total = len(parts) - len(given), math.fsum(given)
    if rests > 1:
        raise ValueError("must have a share in every entry but one, which gets the rest")
    if total > 1 + 1e-9 or (rests == 0 and abs(total - 1) > 1e-9):
        wanted = "at most 1" if rests else "1 (leave one share out for the rest)"
        raise ValueError(f"must have shares that add up to {wanted}; they add up to {total:g}")
    return parts


def _with_share(cls: type[BarrierDistribution]) -> type[BarrierDistribution]:
    """The model of a distribution as one entry of a list of shares."""
    share = Field(default=None, ge=0, le=1, description="share of the bonds; null: the rest")
    name = f"{cls.__name__}Share"
    model: type[BarrierDistribution] = create_model(
        name, __base__=cls, __doc__=cls.__doc__, __module__=__name__, share=(Fraction | None, share)
    )
    # Under its name in this module, so that inputs can be sent to other processes.
    globals()[name] = model
    return model


#: The distributions as entries of a list of shares.
SHARES = {name: _with_share(cls) for name, cls in BY_NAME.items()}


def _tagged(models: dict[str, type[BarrierDistribution]]) -> Any:
    return Union[tuple(Annotated[cls, Tag(name)] for name, cls in models.items())]  # noqa: UP007


# pydantic needs the literal and the union, which a type checker cannot read from a table.
if TYPE_CHECKING:
    ImposableName: TypeAlias = str
    BarrierField: TypeAlias = BarrierDistribution | tuple[BarrierDistribution, ...]
else:
    ImposableName = Literal[tuple(_IMPOSABLE)]
    _ShareList = Annotated[
        tuple[Annotated[_tagged(SHARES), Discriminator(_name_of)], ...],
        Field(min_length=1, max_length=MAX_SHARES),
        AfterValidator(_shares_add_up),
    ]
    BarrierField = Annotated[
        Union[_tagged(BY_NAME), Annotated[_ShareList, Tag(MIXTURE)]],  # noqa: UP007
        Discriminator(_name_of),
    ]

BARRIER_CLASSES = (
    "bulk", "first_layer_exit", "first_layer_lateral", "oxide", "interface", "slow",
)  # fmt: skip


def _flat(high: float, description: str) -> Any:
    return Field(default=FlatBarrier(low=0.0, high=high), description=description)


class Barriers(Section):
    """Quenched barriers of the bonds, drawn once per device, by class of bond (all free)."""

    distribution: ImposableName | None = Field(
        default=None,
        description="distribution imposed on every class below, to test the assumption of flat "
        "ones; a class keeps its mean and, where the distribution has a width, its width. null: "
        "every class has its own distribution",
    )
    bulk: BarrierField = _flat(0.2, "bonds of Gaq3 that are in no other class")
    first_layer_exit: BarrierField = _flat(0.38, "bonds out of the first layer at LSMO")
    first_layer_lateral: BarrierField = _flat(1.0, "bonds inside the first layer at LSMO")
    oxide: BarrierField = _flat(1.0, "bonds inside AlOx")
    interface: BarrierField = _flat(0.25, "bonds from Gaq3 to AlOx")
    slow: BarrierField = _flat(1.0, "slow bonds of the layers next to the first")
    slow_share: Fraction = Field(
        default=0.6, ge=0, le=1, description="share of slow bonds among those of the slow layers"
    )
    slow_layers: Whole = Field(
        default=2, ge=0, description="number of layers, after the first, that have slow bonds"
    )
    tunnel_floor: Frequency = Field(
        default=0.0,
        ge=0,
        description="rate of the ion's tunnelling, independent of temperature: added to the "
        "downhill direction of every bond, and to the uphill one as detailed balance requires",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete_from_default(cls, data: Any) -> Any:
        """Complete a flat distribution from the default of its class."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for name in BARRIER_CLASSES:
            given = data.get(name)
            if name in data and given is None:
                data[name] = given = {}
            if isinstance(given, dict) and _name_of(given) == "flat":
                data[name] = {**cls.model_fields[name].default.model_dump(), **given}
        return data

    def effective(self, name: str) -> BarrierDistribution | BarrierMixture:
        """The distribution from which the barriers of a class are drawn.

        Parameters
        ----------
        name : str
            One of `BARRIER_CLASSES`.

        Returns
        -------
        BarrierDistribution or BarrierMixture
            That of the class, or the imposed one with its mean and width; of a list of shares,
            the same for each of them.
        """
        own: BarrierField = getattr(self, name)
        if isinstance(own, tuple):
            mixture = BarrierMixture.of_shares(own)
            if self.distribution is None:
                return mixture
            return mixture.imposed(_IMPOSABLE[self.distribution])
        if self.distribution is None or self.distribution == _name_of(own):
            return own
        return _IMPOSABLE[self.distribution].of(*own.mean_and_width)
