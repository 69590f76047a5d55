"""Two plots of a run, as SVG without scripts or anything from outside: how long single requests took, and what growing costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

WIDTH, HEIGHT = 960, 480
LEFT, RIGHT, TOP, BOTTOM = 60, 330, 40, 50
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e44ad", "#b8860b", "#2c3e50", "#d1478c", "#5f7a8a")
DASHES = ("none", "6 3", "2 2")
SVG = "http://www.w3.org/2000/svg"
PERCENTILES = (50.0, 90.0, 99.0)

Points = Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """An axis whose scale goes in tenfold steps."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1."""
        span = math.log10(self.high) - math.log10(self.low)
        return (math.log10(value) - math.log10(self.low)) / span

    def ticks(self) -> list[float]:
        """1, 2 and 5 of each power of ten; of many powers only the powers."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (1, 2, 5) if last - first <= 3 else (1,)
        found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        return [tick for tick in found if self.low * 0.999 <= tick <= self.high * 1.001]


def distributions(samples: Mapping[str, Sequence[float]]) -> bytes:
    """Share of requests that took at most so long, a line a figure.

    Args:
        samples: figure -> milliseconds.
    """
    lines = {
        f"{name} ({', '.join(f'p{p:g} {_number(_percentile(taken, p))}' for p in PERCENTILES)})": [
            (max(value, 0.001), 100 * (i + 1) / len(taken)) for i, value in enumerate(sorted(taken))
        ]
        for name, taken in samples.items()
        if taken
    }
    return _plot("How long single requests took", "milliseconds", "% took at most so long", lines)


def growth(curves: Mapping[str, Points]) -> bytes:
    """What each figure was at each size of the ledger, in percent of what it was at the smallest."""
    lines = {}
    for name, curve in curves.items():
        points = [(float(size), value) for size, value in sorted(curve) if size > 0]
        if points and points[0][1] > 0:
            lines[f"{name} ({_number(points[0][1])} to {_number(points[-1][1])})"] = [
                (size, 100 * value / points[0][1]) for size, value in points
            ]
    return _plot("What growing costs", "events in the ledger", "% of the smallest ledger", lines)


def _plot(title: str, x_title: str, y_title: str, lines: Mapping[str, Points]) -> bytes:
    xs, ys = ([point[i] for points in lines.values() for point in points] or [1.0] for i in (0, 1))
    axis, step = Axis(min(xs) * 0.9, max(xs) * 1.1), _step(max(ys))
    most, bottom, right = math.ceil(max(ys) / step) * step, HEIGHT - BOTTOM, WIDTH - RIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + axis.share(x) * (right - LEFT), bottom - y / most * (bottom - TOP)

    svg = Element("svg", {"xmlns": SVG, "viewBox": f"0 0 {WIDTH} {HEIGHT}", "font-family": "sans-serif"})
    SubElement(svg, "rect", {"width": str(WIDTH), "height": str(HEIGHT), "fill": "white"})
    _text(svg, LEFT, TOP - 16, title, size=16)
    for tick in axis.ticks():
        x, _ = place(tick, 0)
        _line(svg, [(x, TOP), (x, bottom)])
        _text(svg, x, bottom + 18, _number(tick), anchor="middle")
    for tick in [step * i for i in range(round(most / step) + 1)]:
        _, y = place(xs[0], tick)
        _line(svg, [(LEFT, y), (right, y)])
        _text(svg, LEFT - 8, y + 4, _number(tick), anchor="end")
    _text(svg, (LEFT + right) / 2, HEIGHT - 12, x_title, anchor="middle")
    _text(svg, LEFT + 6, TOP + 12, y_title)
    for number, (name, points) in enumerate(lines.items()):
        again, which = divmod(number, len(COLOURS))
        _line(svg, [place(x, y) for x, y in points], COLOURS[which], 2, DASHES[again % len(DASHES)])
        _line(
            svg,
            [(right + 8, TOP + 10 + 16 * number), (right + 28, TOP + 10 + 16 * number)],
            COLOURS[which],
            2,
            DASHES[again % len(DASHES)],
        )
        _text(svg, right + 34, TOP + 14 + 16 * number, name, size=10)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(svg)


def _step(most: float) -> float:
    """Between lines across the plot: a round number, so that there are at most eight of them."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(part * power for part in (0.2, 0.5, 1, 2) if most <= 8 * part * power)


def _line(svg: Element, points: Points, colour: str = "#e4e4e4", width: int = 1, dashes: str = "none") -> None:
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    said = {"points": where, "fill": "none", "stroke": colour, "stroke-width": str(width), "stroke-dasharray": dashes}
    SubElement(svg, "polyline", said)


def _text(svg: Element, x: float, y: float, said: str, *, anchor: str = "start", size: int = 11) -> None:
    placed = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "fill": "#333", "font-size": str(size)}
    SubElement(svg, "text", placed).text = said


def _percentile(taken: Sequence[float], percent: float) -> float:
    ordered = sorted(taken)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _number(value: float) -> str:
    """Few digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
