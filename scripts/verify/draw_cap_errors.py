"""Draw docs/assets/cap_errors.png: worst error of the cap's rules against hops, a panel a family.

    python scripts/verify/draw_cap_errors.py

The values are those of the tables of docs/cap.md, from docs/assets/cap_errors.csv.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
#: Rule, marker and colour; the colours differ in lightness too.
DRAWN = {
    "plain": ("v", "#bbbbbb"),
    "own": ("o", "#ee7733"),
    "one-beyond": ("s", "#0077bb"),
    "all-beyond": ("^", "#009988"),
    "sweeps-any": ("D", "#332288"),
}
LABELS = {"own": "own (reach 1)", "one-beyond": "one-beyond (reach 2, default)"}


def main() -> None:
    points = defaultdict(list)
    with open(ASSETS / "cap_errors.csv", newline="") as file:
        for row in csv.DictReader(file):
            found = float(row["hops"]), float(row["worst_error"]), int(row["C"])
            points[row["family"], row["rule"]].append(found)
    families = list(dict.fromkeys(family for family, _ in points))
    figure, axes = plt.subplots(
        2, 4, figsize=(11, 5.6), sharex=True, sharey=True, layout="constrained"
    )
    for axis, family in zip(axes.flat, families, strict=False):
        for rule, (marker, colour) in DRAWN.items():
            if (family, rule) in points:
                hops, errors, caps = zip(*sorted(points[family, rule]), strict=True)
                axis.loglog(hops, errors, marker=marker, color=colour, markersize=5, linewidth=1)
                if rule == "one-beyond":
                    for hop, error, cap in zip(hops, errors, caps, strict=True):
                        axis.annotate(f"{cap}", (hop, error), (4, 4), textcoords="offset points",
                                      fontsize=7, color=colour)  # fmt: skip
        axis.axhline(0.02, color="black", linewidth=0.8, linestyle="--")
        axis.set_title(family, fontsize=10)
        axis.set_xlim(1e3, 1e5)
    for axis in axes[:, 0]:
        axis.set_ylabel("worst error of an occupation")
    for axis in axes.flat[3:7]:
        axis.set_xlabel("mean hops")
    legend = axes.flat[-1]
    legend.axis("off")
    for rule, (marker, colour) in DRAWN.items():
        legend.plot([], [], marker=marker, color=colour, label=LABELS.get(rule, rule))
    legend.plot([], [], color="black", linestyle="--", linewidth=0.8, label="error 0.02")
    legend.legend(loc="center", frameon=False, title="rule; numbers: C", fontsize=9)
    axes[0, 3].tick_params(labelbottom=True)
    figure.savefig(ASSETS / "cap_errors.png", dpi=110)


if __name__ == "__main__":
    main()
