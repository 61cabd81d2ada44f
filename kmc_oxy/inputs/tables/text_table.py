"""A CSV file as a header and rows of text, each with its line number."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from kmc_oxy.inputs.tables.table_faults import CurveError, refusal

MAX_BYTES = 200_000_000
#: Comments and blank lines included.
MAX_LINES = 5_000_000
MAX_LINE_LENGTH = 1_000_000
#: Separators of columns; the first one that stands in the header is the one of the file.
SEPARATORS = ("\t", ";", ",")
_NAMES = {"\t": "tabs", ";": "semicolons", ",": "commas"}
# Files of at least this many bytes are looked at before they are read as text.
_LOOK_AT = 65_536


@dataclass(frozen=True)
class Header:
    """The names of the columns.

    Parameters
    ----------
    source : str
        Name of the file in messages.
    line : int
        Line of the file.
    names : tuple of str
        Without blanks around them.
    separator : str
        One of `SEPARATORS`.
    """

    source: str
    line: int
    names: tuple[str, ...]
    separator: str

    @property
    def separator_name(self) -> str:
        """What separates the columns, in words."""
        return _NAMES[self.separator]


class TextTable:
    """An open CSV file: its header, then its rows.

    Blank lines and lines that begin with ``#`` are skipped. A byte order mark, any line ends and
    quoted cells are understood.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    header : Header

    Raises
    ------
    CurveError
        If the file cannot be read, is too long, no text, empty, or has no header.
    """

    def __init__(self, path: Path) -> None:
        self._source = str(path)
        self._path = path
        self._line = 0
        self._last_comment = (0, "")
        _check_file(path)
        self._file: TextIO = open(path, encoding="utf-8-sig", newline="")  # noqa: SIM115
        try:
            self._lines = self._content()
            self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> TextTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows after the header.

        Yields
        ------
        line : int
            Line where the row ends.
        cells : list of str

        Raises
        ------
        CurveError
            At a line that is no text or has a quote that is not closed.
        """
        reader = csv.reader(self._lines, delimiter=self.header.separator, strict=True)
        first = self._line + 1
        try:
            for cells in reader:
                yield self._line, cells
                first = self._line + 1
        except csv.Error as error:
            raise self._quote_error(first, error) from None

    def _content(self) -> Iterator[str]:
        """Lines that are neither blank nor comments."""
        try:
            for number, line in enumerate(self._file, 1):
                self._line = number
                if number > MAX_LINES:
                    raise refusal(self._source, f"has more than {MAX_LINES:,} lines")
                if len(line) > MAX_LINE_LENGTH:
                    what = f"has more than {MAX_LINE_LENGTH:,} characters: is it a table?"
                    raise refusal(self._source, what, number)
                text = line.lstrip()
                if text.startswith("#"):
                    self._last_comment = (number, text.lstrip("# ").rstrip())
                elif text:
                    yield line
        except UnicodeDecodeError:
            raise _not_text(self._path) from None

    def _read_header(self) -> Header:
        line = next(self._lines, None)
        if line is None:
            what = "has comments and blank lines only" if self._line else "is empty"
            raise refusal(self._source, f"{what}: a header and rows of numbers are needed")
        separator = _separator(line)
        try:
            (cells,) = csv.reader([line], delimiter=separator, strict=True)
        except (csv.Error, ValueError) as error:
            raise self._quote_error(self._line, error) from None
        names = tuple(name.strip() for name in cells)
        if all(_is_number(name) for name in names if name) or not any(names):
            number, comment = self._last_comment
            hint = ""
            if len(comment.split(separator)) == len(names) and number:
                hint = f"; if line {number} is meant, remove its #"
            raise refusal(
                self._source,
                "has no header: the first line that is no comment must name the columns" + hint,
                self._line,
            )
        return Header(self._source, self._line, names, separator)

    def _quote_error(self, line: int, error: Exception) -> CurveError:
        message = str(error)
        if "end of data" in message or "field limit" in message or "unpack" in message:
            message = 'a quote (") that is not closed'
        return refusal(self._source, f"cannot be split into cells: {message}", line)


def _check_file(path: Path) -> None:
    """Refuse what is no readable file of text of moderate length."""
    source = str(path)
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise refusal(source, "cannot be read: it is no file")
        if state.st_size > MAX_BYTES:
            raise refusal(
                source,
                f"has {state.st_size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f}: "
                "keep the rows that are needed",
            )
        with open(path, "rb") as file:
            start = file.read(_LOOK_AT)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise refusal(source, f"cannot be read: {reason}") from None
    if b"\0" in start or start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise refusal(source, "is not UTF-8 text: save it as CSV in UTF-8")


def _not_text(path: Path) -> CurveError:
    """The error of a file that is not UTF-8, with the first byte that is not."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                what = f"is not UTF-8 text (byte 0x{byte:02x}): save it as CSV in UTF-8"
                return refusal(str(path), what, number)
    return refusal(str(path), "is not UTF-8 text: save it as CSV in UTF-8")


def _separator(line: str) -> str:
    """What separates the columns: the first of `SEPARATORS` outside quotes."""
    outside = "".join(line.split('"')[::2])
    return next((separator for separator in SEPARATORS if separator in outside), ",")


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
