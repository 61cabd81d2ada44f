"""Faults of a CSV file: each one line with file, line and column."""

from __future__ import annotations

from collections.abc import Sequence

from kmc_oxy.inputs.messages import Fault, InputError

#: Faults that are listed; of the others only the number is given.
MAX_LISTED = 20


class CurveError(InputError):
    """A CSV file that cannot be used.

    Parameters
    ----------
    faults : sequence of Fault
    more : int
        Number of further faults.
    """

    def __init__(self, faults: Sequence[Fault], more: int = 0) -> None:
        super().__init__(faults)
        self.more = more

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n... and {self.more} more" if self.more else text


class FaultCollector:
    """Collects the faults of one file, of each kind only the first ones.

    Parameters
    ----------
    source : str
        Name of the file in messages.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[Fault] = []
        self._counts: dict[str, int] = {}

    def add(
        self,
        line: int,
        message: str,
        column: str = "",
        place: int = 0,
        kind: str = "",
        count: int = 1,
    ) -> None:
        """Note a fault.

        Parameters
        ----------
        line : int
            Line of the file, from 1; 0 for a fault of the whole file.
        message : str
        column : str
            Name of the column; empty for a fault of the line.
        place : int
            Position of the column, by which faults of one line are sorted.
        kind : str
            Of each kind at most `MAX_LISTED` faults are kept.
        count : int
            Number of faults that this one stands for.
        """
        before = self._counts.get(kind, 0)
        self._counts[kind] = before + count
        if before < MAX_LISTED:
            self._found.append(_fault(self.source, line, message, column, place))

    def check(self) -> None:
        """Raise what was found.

        Raises
        ------
        CurveError
            With the first `MAX_LISTED` faults in the order of lines; not without faults.
        """
        if self._found:
            listed = sorted(self._found)[:MAX_LISTED]
            raise CurveError(listed, sum(self._counts.values()) - len(listed))


def refusal(source: str, message: str, line: int = 0, column: str = "") -> CurveError:
    """The error of a file with one fault; the arguments are those of `FaultCollector`."""
    return CurveError([_fault(source, line, message, column, 0)])


def _fault(source: str, line: int, message: str, column: str, place: int) -> Fault:
    where = f"{source}:{line}" if line else source
    return Fault(0, line, place, where, f"column {column!r}" if column else "", message)
