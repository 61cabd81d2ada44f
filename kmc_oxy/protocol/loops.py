"""Nested loops of operations, and the sequence of operations that they stand for.

A train of a million pulses is one loop over two holds and a reading. Its operations are made when
they are asked for, so that memory and validation do not depend on the number of pulses.

Times are whole numbers of *ticks* of 2^-1074 s. Every float is a whole number of ticks, so sums of
durations are exact and are rounded once, when a time is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast

TICKS_PER_S = 1 << 1074

T = TypeVar("T")
Counted = Literal["operations", "readings"]


def ticks(duration_s: float) -> int:
    """A duration as a whole number of ticks, exactly."""
    numerator, denominator = duration_s.as_integer_ratio()
    return numerator * (TICKS_PER_S // denominator)


def seconds(count: int) -> float:
    """The float nearest to a number of ticks, s."""
    return count / TICKS_PER_S


class Position(NamedTuple):
    """Where an operation stands in the protocol, or by how much a repetition moves it.

    Parameters
    ----------
    ticks, leg_ticks : int
        Time since the protocol began, and since the leg began.
    leg, pulse : int
        As in `Reading`.
    """

    ticks: int = 0
    leg_ticks: int = 0
    leg: int = 0
    pulse: int = 0

    def moved(self, by: Position, times: int = 1) -> Position:
        """The position moved `times` times."""
        return Position(
            self.ticks + times * by.ticks,
            self.leg_ticks + times * by.leg_ticks,
            self.leg + times * by.leg,
            self.pulse + times * by.pulse,
        )

    def relative_to(self, origin: Position) -> Position:
        """The position counted from another one."""
        return Position(
            self.ticks - origin.ticks,
            self.leg_ticks - origin.leg_ticks,
            self.leg - origin.leg,
            self.pulse - origin.pulse,
        )


@dataclass(frozen=True, eq=False)
class Loop(Generic[T]):
    """Operations and inner loops that are repeated.

    Parameters
    ----------
    items : tuple of operation or Loop
        Those of one repetition, in order. An operation has an attribute `is_reading`.
    offsets : tuple of Position
        Position of each item in the first repetition, relative to the start of the loop.
    shift : Position
        By how much each repetition moves all items.
    count : int
        Number of repetitions.
    until : object, optional
        Condition under which, at the end of a repetition, the loop around this one is left.
    """

    items: tuple[T | Loop[T], ...]
    offsets: tuple[Position, ...]
    shift: Position
    count: int
    until: Any = None

    def size(self, counted: Counted) -> int:
        """Number of operations, or of readings, of all repetitions."""
        return self.count * self._starts(counted)[-1]

    def _starts(self, counted: Counted) -> list[int]:
        """Number of operations, or of readings, before each item and in one repetition."""
        return self._operations_before if counted == "operations" else self._readings_before

    @cached_property
    def _operations_before(self) -> list[int]:
        sizes = (i.size("operations") if isinstance(i, Loop) else 1 for i in self.items)
        return list(accumulate(sizes, initial=0))

    @cached_property
    def _readings_before(self) -> list[int]:
        sizes = (
            i.size("readings") if isinstance(i, Loop) else int(cast(Any, i).is_reading)
            for i in self.items
        )
        return list(accumulate(sizes, initial=0))

    def find(self, index: int, counted: Counted, start: Position) -> tuple[T, Position]:
        """The operation, or reading, of an index and its position.

        Parameters
        ----------
        index : int
            From 0 to `size` - 1.
        counted : {"operations", "readings"}
        start : Position
            Of the loop.

        Returns
        -------
        operation, position
        """
        starts = self._starts(counted)
        repetition, index = divmod(index, starts[-1])
        number = bisect_right(starts, index) - 1
        item = self.items[number]
        position = start.moved(self.shift, repetition).moved(self.offsets[number])
        if isinstance(item, Loop):
            return item.find(index - starts[number], counted, position)
        return item, position

    def walk(self, counted: Counted, start: Position) -> Iterator[tuple[T, Position]]:
        """All operations, or all readings, with their positions in order."""
        position = start
        for _ in range(self.count):
            for item, offset in zip(self.items, self.offsets, strict=True):
                if isinstance(item, Loop):
                    yield from item.walk(counted, position.moved(offset))
                elif counted == "operations" or cast(Any, item).is_reading:
                    yield item, position.moved(offset)
            position = position.moved(self.shift)

    @cached_property
    def has_conditions(self) -> bool:
        """Whether this loop or one inside it has a condition."""
        loops = (item for item in self.items if isinstance(item, Loop))
        return self.until is not None or any(loop.has_conditions for loop in loops)

    def conditions_at(self, index: int) -> Iterator[tuple[Any, int, int]]:
        """The conditions of the loops a repetition of which ends before an operation.

        Parameters
        ----------
        index : int
            Of the operation, from 0 to `size`.

        Yields
        ------
        condition
        operations, readings : int
            Numbers of operations and of readings before the end of the loop that is left. The
            innermost loop comes first.
        """
        if not self.has_conditions or index == 0:
            return
        # Seen from the operation before: it is inside the loops whose repetition ends.
        starts, readings = self._operations_before, self._readings_before
        repetition, own = divmod(index - 1, starts[-1])
        number = bisect_right(starts, own) - 1
        item = self.items[number]
        if not isinstance(item, Loop):
            return
        before = repetition * starts[-1] + starts[number]
        readings_before = repetition * readings[-1] + readings[number]
        for condition, operations, read in item.conditions_at(index - before):
            yield condition, before + operations, readings_before + read
        if item.until is not None and (index - before) % item._operations_before[-1] == 0:
            yield (
                item.until,
                (repetition + 1) * starts[-1],
                (repetition + 1) * readings[-1],
            )

    def distinct(self) -> Iterator[T]:
        """Every operation once, whatever the number of repetitions."""
        for item in self.items:
            if isinstance(item, Loop):
                yield from item.distinct()
            else:
                yield item

    def samples(
        self, repetitions: int, merge: Callable[[Loop[T]], T | None], weight: int = 1
    ) -> Iterator[tuple[T, int]]:
        """The first repetitions of every loop, the last of them with the weight of all others.

        Parameters
        ----------
        repetitions : int
            How many repetitions of each loop are given, at least one; half as many of a loop
            inside one of which several are given, so that nesting does not multiply them.
        merge : callable
            Returns one operation for all repetitions of an inner loop, or None.
        weight : int
            Weight of this loop.

        Yields
        ------
        operation
        weight : int
            For how many operations of the sequence it stands.
        """
        given = min(repetitions, self.count)
        of_inner = max(1, repetitions // 2) if given > 1 else repetitions
        for number in range(given):
            times = weight * (self.count - given + 1 if number == given - 1 else 1)
            for item in self.items:
                if not isinstance(item, Loop):
                    yield item, times
                elif (merged := merge(item)) is not None:
                    yield merged, times
                else:
                    yield from item.samples(of_inner, merge, times)


class LoopSequence(Sequence[Any]):
    """The operations, or the readings, of a loop as a sequence.

    Parameters
    ----------
    loop : Loop
    counted : {"operations", "readings"}
    place : callable
        Returns an operation at a position.
    """

    def __init__(
        self, loop: Loop[T], counted: Counted, place: Callable[[T, Position], Any]
    ) -> None:
        self._loop, self._counted, self._place = loop, counted, place
        self._length = loop.size(counted)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        for operation, position in self._loop.walk(self._counted, Position()):
            yield self._place(operation, position)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(f"operation {index} of {self._length}")
        found = self._loop.find(int(index) % self._length, self._counted, Position())
        return self._place(*found)
