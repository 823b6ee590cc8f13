"""A measured figure, and how the table of them looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`wanted`: the least (or, with `at_most`, the largest) value; None: only for the reader."""

    name: str
    value: float
    unit: str
    wanted: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.wanted is None:
            return None
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted

    def line(self) -> str:
        mark = {True: "ok  ", False: "MISS", None: "    "}[self.met]
        wanted = "" if self.wanted is None else f"  ({'at most' if self.at_most else 'at least'} {self.wanted:g})"
        return f"{mark} {self.name:<58} {self.value:>12,.3g} {self.unit}{wanted}{'  ' + self.note if self.note else ''}"


def quantile(values: list[float], share: float) -> float:
    """The value below which the share of the values lies; NaN for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
