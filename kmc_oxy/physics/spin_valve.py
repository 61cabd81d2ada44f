"""Magnetoresistance of one cross-point, and its conductance in a magnetic field.

Spin crosses Gaq3 along the same impurities as charge. Hopping carries it over the links ``c_ij``,
and exchange between neighbouring impurity spins adds to their spin conductance (the impurity band
of Yu, Nat. Commun. 5, 4842 (2014), here on a network). Every impurity relaxes spin, which acts as
a conductance to ground ``g ~ 1/tau_s``. With ``l_i`` the links to LSMO and the spin accumulation
of LSMO as the unit, the accumulation ``s`` obeys

    (1 + exchange) sum_j c_ij (s_i - s_j) + (l_i + g) s_i = l_i

    eta = sum j_i s_i / sum j_i,    j_i the charge current from node i to Co

``eta`` is the accumulation at the oxide, averaged over the current. Without relaxation it is 1. It
goes to 0 when spin relaxes in Gaq3 faster than LSMO supplies it through its barrier (``sum l_i``
far below ``g`` times the number of nodes: little oxygen at LSMO, the depressed state), or when the
network in the bulk is too sparse. Current through the leak counts as unpolarised. With parallel and
antiparallel electrodes the conductance is
``G (1 +- P1 P2 eta)``, after Julliere; P1 P2 < 0 here, since the antiparallel state conducts
better (paper, section 1).

Co is a detector behind a tunnel barrier: the spin current into it is neglected. A two-current model
of this network that includes it (with the mean transmission of the oxide in the unit G0) keeps the
contrast between on and off, but conductance mismatch reduces the magnetoresistance of the on state
to some per cent. The mechanism is contested, so the model can be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.physics.filament_network import FilamentNetwork
from kmc_oxy.physics.filament_parameters import LEAST, MOST

Model = Literal["impurity_exchange", "julliere", "none"]


@dataclass(frozen=True)
class SpinParameters:
    """Free parameters of the spin valve.

    Parameters
    ----------
    model : {"impurity_exchange", "julliere", "none"}
        eta as above, eta = 1, or eta = 0.
    polarisation_lsmo, polarisation_co : float
        P1 and P2, from -1 to 1.
    relaxation : float
        g, spin relaxation at every node, in units of the conductance scale G0.
    exchange : float
        Spin conductance that exchange adds to a node-to-node link, relative to hopping.
    coercive_lsmo_T, coercive_co_T : float
        Coercive fields.
    switching_width_T : float
        Width in field of the reversal of a magnetisation.

    Raises
    ------
    ValueError
        If a number is out of range or the model unknown.
    """

    model: Model = "impurity_exchange"
    polarisation_lsmo: float = -0.9
    polarisation_co: float = 0.4
    relaxation: float = 1e-5
    exchange: float = 1.0
    coercive_lsmo_T: float = 5e-3
    coercive_co_T: float = 20e-3
    switching_width_T: float = 1e-3

    def __post_init__(self) -> None:
        if self.model not in get_args(Model):
            raise ValueError(
                f"The 'model' parameter must be one of {', '.join(get_args(Model))}. "
                f"Got {self.model!r} instead."
            )
        for name in ("polarisation_lsmo", "polarisation_co"):
            if not -1 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"The {name!r} parameter must lie between -1 and 1. "
                    f"Got {getattr(self, name)} instead."
                )
        for name, least in (
            ("relaxation", 0.0),
            ("exchange", 0.0),
            ("coercive_lsmo_T", 0.0),
            ("coercive_co_T", 0.0),
            ("switching_width_T", LEAST),
        ):
            if not least <= getattr(self, name) <= MOST:
                kind = "positive" if least > 0 else "non-negative"
                raise ValueError(
                    f"The {name!r} parameter must be a {kind} number, from {least:g} to {MOST:g}. "
                    f"Got {getattr(self, name)} instead."
                )
        if self.model == "julliere" and abs(self.polarisation_lsmo * self.polarisation_co) >= 1:
            raise ValueError(
                "The 'polarisation_co' parameter must not be 1 or -1 if 'polarisation_lsmo' is, in "
                "the model 'julliere': one state would not conduct. "
                f"Got {self.polarisation_co} and {self.polarisation_lsmo} instead."
            )


class SpinValve:
    """Spin-dependent conductance of a cross-point's network.

    Readings are functions of the occupation alone.

    Parameters
    ----------
    network : FilamentNetwork
    parameters : SpinParameters, optional
    """

    def __init__(self, network: FilamentNetwork, parameters: SpinParameters | None = None) -> None:
        self.network = network
        self.parameters = SpinParameters() if parameters is None else parameters

    def transmission(self, occupied: ArrayLike) -> float:
        """eta, spin accumulation at the oxide relative to that in LSMO (0 to 1).

        Parameters
        ----------
        occupied : array_like of bool, shape (n_sites,)
        """
        p = self.parameters
        if p.model == "none":
            return 0.0
        if p.model == "julliere":
            return 1.0
        return self.network.spin_transmission(occupied, p.relaxation, p.exchange)

    def conductances(self, occupied: ArrayLike) -> tuple[float, float]:
        """Conductance (S) with parallel and with antiparallel magnetisations."""
        mean = self.network.conductance(occupied)
        contrast = self._contrast(occupied)
        return mean * (1 + contrast), mean * (1 - contrast)

    def magnetoresistance(self, occupied: ArrayLike) -> float:
        """(G_P - G_AP)/G_AP, signed: negative while P1 P2 < 0; -1 at the least.

        Raises
        ------
        RuntimeError
            If the antiparallel state does not conduct.
        """
        contrast = self._contrast(occupied)
        if not contrast < 1:
            raise RuntimeError("The antiparallel state does not conduct: P1 P2 eta is 1.")
        return 2 * contrast / (1 - contrast)

    def field_sweep(
        self,
        occupied: ArrayLike,
        field_T: ArrayLike,
        magnetisation: tuple[float, float] = (-1.0, -1.0),
    ) -> tuple[NDArray[np.float64], tuple[float, float]]:
        """Conductance along a path of magnetic fields at fixed occupation.

        Parameters
        ----------
        occupied : array_like of bool, shape (n_sites,)
        field_T : array_like of float, shape (k,)
            Fields in the order in which they are applied.
        magnetisation : tuple of float
            Reduced magnetisations of LSMO and Co before the first field.

        Returns
        -------
        conductance_S : ndarray, shape (k,)
        magnetisation : tuple of float
            After the last field, to start a later sweep from.
        """
        p = self.parameters
        lsmo = magnetisation_path(field_T, p.coercive_lsmo_T, p.switching_width_T, magnetisation[0])
        co = magnetisation_path(field_T, p.coercive_co_T, p.switching_width_T, magnetisation[1])
        conductance_S = self.network.conductance(occupied) * (
            1 + self._contrast(occupied) * lsmo * co
        )
        if lsmo.size:
            magnetisation = float(lsmo[-1]), float(co[-1])
        return conductance_S, magnetisation

    def _contrast(self, occupied: ArrayLike) -> float:
        """P1 P2 eta."""
        p = self.parameters
        return p.polarisation_lsmo * p.polarisation_co * self.transmission(occupied)


def magnetisation_path(
    field_T: ArrayLike, coercive_T: float, width_T: float, start: float
) -> NDArray[np.float64]:
    """Reduced magnetisation of a macrospin electrode along a path of fields.

    The magnetisation is constant between two branches, ``tanh((H - Hc)/width)`` below and
    ``tanh((H + Hc)/width)`` above, and follows a branch once it meets it. This is a play operator:
    minor loops close, and the rate of the sweep does not matter.

    Parameters
    ----------
    field_T : array_like, shape (k,)
    coercive_T, width_T : float
        Hc, and the width of the reversal in field.
    start : float
        Magnetisation before the first field, from -1 to 1.

    Returns
    -------
    ndarray, shape (k,)

    Raises
    ------
    ValueError
        If a field is not finite or `start` is out of range.
    """
    field_T = np.asarray(field_T, dtype=float)
    if field_T.ndim != 1 or not np.isfinite(field_T).all():
        raise ValueError(
            "The 'field_T' parameter must be a one-dimensional array of finite fields. "
            f"Got {field_T} instead."
        )
    if not -1 <= start <= 1:
        raise ValueError(
            f"The 'magnetisation' parameter must lie between -1 and 1. Got {start} instead."
        )
    with np.errstate(over="ignore", under="ignore"):
        rising = np.tanh((field_T - coercive_T) / width_T)
        falling = np.tanh((field_T + coercive_T) / width_T)
    path = np.empty_like(field_T)
    value = start
    for index, (least, most) in enumerate(zip(rising, falling, strict=True)):
        value = min(max(value, least), most)
        path[index] = value
    return path
