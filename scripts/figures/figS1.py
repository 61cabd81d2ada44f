"""Figure S1: the current-voltage loop, from the output of figS1.yaml (as `kmc-oxy plot`)."""

from __future__ import annotations

from pathlib import Path

from drawing import command_line

from kmc_oxy.figures import plot


def main(input: Path, output: Path) -> None:
    """Draw the loop; the band is one standard deviation over devices."""
    plot(input, output)


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
