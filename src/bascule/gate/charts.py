"""Geometry of the report's one picture: availability, latency, release mix and plan steps above one time axis.

Only numbers and paths; the template draws them and owns every colour. Seconds count from the start of the load.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bascule.documents.evidence import Bucket, Evidence, StepTiming

__all__ = ["Chart", "build_chart"]

WIDTH, LEFT, RIGHT, TOP, GAP = 960.0, 58.0, 14.0, 34.0, 30.0
AVAILABILITY, LATENCY, MIX, ROW, AXIS = 110.0, 130.0, 84.0, 19.0, 26.0
TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
LABEL_CHARACTER = 6.1  # pixels, about, at the size that the template sets


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Band:
    """A phase of the plan, behind all panels."""

    x: float
    width: float
    label: str
    shaded: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """One failed second: a red bar; or one step: a bar with its words beside it."""

    x: float
    y: float
    width: float
    height: float
    title: str
    label: str = ""
    label_x: float = 0.0
    anchor: str = "start"
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """The share of one release, as a filled path."""

    path: str
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart's frame and its vertical axis."""

    title: str
    y: float
    height: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole picture."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    availability: Panel
    latency: Panel
    mix: Panel
    plan: Panel
    ticks: tuple[Tick, ...]
    bands: tuple[Band, ...]
    ok_area: str
    failed: tuple[Bar, ...]
    p50: str
    p99: str
    releases: tuple[Area, ...]
    steps: tuple[Bar, ...]
    point_of_no_return: float | None


def build_chart(evidence: Evidence) -> Chart:
    """Return the picture of a run; a run without any load gives empty panels."""
    buckets = evidence.buckets
    begun = [step for step in evidence.steps if step.offset_s is not None]
    scale = _Scale(_start(begun), _end(buckets, begun))
    y_latency = TOP + AVAILABILITY + GAP
    y_mix = y_latency + LATENCY + GAP
    y_plan = y_mix + MIX + GAP
    bottom = y_plan + ROW * max(1, len(begun)) + 6
    answers = _Vertical(TOP, AVAILABILITY, _nice(max((each.ok + each.failed for each in buckets), default=1)))
    speed = _Logarithmic.over(y_latency, LATENCY, [ms for each in buckets for ms in (each.p50_ms, each.p99_ms) if ms])
    no_return = next((step for step in begun if step.point_of_no_return), None)
    return Chart(
        width=WIDTH,
        height=bottom + AXIS,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=bottom,
        availability=Panel("answers per second", TOP, AVAILABILITY, answers.ticks()),
        latency=Panel("latency, ms (log)", y_latency, LATENCY, speed.ticks()),
        mix=Panel("who answered", y_mix, MIX, (Tick(y_mix, "100 %"), Tick(y_mix + MIX, "0"))),
        plan=Panel("plan", y_plan, bottom - y_plan, ()),
        ticks=tuple(scale.ticks()),
        bands=tuple(_bands(begun, scale)),
        ok_area=_area([(scale.x(each.second), answers.y(each.ok)) for each in _closed(buckets)], TOP + AVAILABILITY),
        failed=tuple(_failed_bars(buckets, scale, answers)),
        p50=_line((scale.x(each.second + 0.5), each.p50_ms and speed.y(each.p50_ms)) for each in buckets),
        p99=_line((scale.x(each.second + 0.5), each.p99_ms and speed.y(each.p99_ms)) for each in buckets),
        releases=tuple(_release_areas(evidence, scale, y_mix)),
        steps=tuple(_step_bars(begun, scale, y_plan)),
        point_of_no_return=None if no_return is None else scale.x(no_return.offset_s or 0.0),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Seconds to horizontal pixels."""

    start: float
    end: float

    def x(self, second: float) -> float:
        share = (min(max(second, self.start), self.end) - self.start) / (self.end - self.start)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def ticks(self) -> Iterator[Tick]:
        step = next((each for each in TICK_STEPS if (self.end - self.start) / each <= 14), TICK_STEPS[-1])
        second = math.ceil(self.start / step) * step
        while second <= self.end:
            yield Tick(self.x(second), f"{second} s")
            second += step


@dataclass(frozen=True, slots=True)
class _Vertical:
    top: float
    height: float
    most: float

    def y(self, value: float) -> float:
        return round(self.top + self.height * (1 - min(value, self.most) / self.most), 2)

    def ticks(self) -> tuple[Tick, ...]:
        return tuple(Tick(self.y(value), f"{value:g}") for value in (0, self.most / 2, self.most))


@dataclass(frozen=True, slots=True)
class _Logarithmic:
    top: float
    height: float
    least: int
    most: int

    @classmethod
    def over(cls, top: float, height: float, values: Sequence[float]) -> "_Logarithmic":
        """Return an axis of whole decades that holds the values."""
        least = math.floor(math.log10(min(values, default=1.0)))
        most = math.ceil(math.log10(max(values, default=10.0)))
        return cls(top, height, least, max(most, least + 1))

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.least) / (self.most - self.least)
        return round(self.top + self.height * (1 - share), 2)

    def ticks(self) -> tuple[Tick, ...]:
        return tuple(Tick(self.y(10.0**power), f"{10.0**power:g}") for power in range(self.least, self.most + 1))


def _start(steps: Sequence[StepTiming]) -> float:
    return min([0.0, *(step.offset_s for step in steps if step.offset_s is not None)])


def _end(buckets: Sequence[Bucket], steps: Sequence[StepTiming]) -> float:
    ends = [(step.offset_s or 0.0) + (step.actual_s or 0.0) for step in steps]
    return max([float(len(buckets)), *ends, _start(steps) + 1.0])


def _nice(value: float) -> float:
    """Return a round number, not below the value and not far above, whose half is a whole one too."""
    power = 10 ** math.floor(math.log10(max(value, 1)))
    fine = (1.2, 1.6) if power >= 10 else ()
    return float(next(power * each for each in (*fine, 2, 4, 6, 8, 10, 20) if power * each >= value))


def _closed(buckets: Sequence[Bucket]) -> Iterator[Bucket]:
    """Yield the buckets, the last one once more at its end, so that an area reaches the end of its last second."""
    yield from buckets
    if buckets:
        last = buckets[-1]
        yield Bucket(last.second + 1, last.ok, last.failed, last.p50_ms, last.p99_ms, last.by_release)


def _area(points: Sequence[tuple[float, float]], floor: float) -> str:
    """Return a filled staircase over the points: a second's figure holds until the next one."""
    if not points:
        return ""
    path = [f"M{points[0][0]},{floor}", f"V{points[0][1]}"]
    path += [f"H{x}V{y}" for x, y in points[1:]]
    return "".join([*path, f"V{floor}Z"])


def _line(points: Iterable[tuple[float, float | None]]) -> str:
    """Return a line with gaps where nothing was answered."""
    path, is_on = [], False
    for x, y in points:
        if y is not None:
            path.append(f"{'L' if is_on else 'M'}{x},{y}")
        is_on = y is not None
    return "".join(path)


def _bands(steps: Sequence[StepTiming], scale: _Scale) -> Iterator[Band]:
    """Yield one band per run of steps of the same phase."""
    starts: list[tuple[float, str]] = []
    for step in sorted(steps, key=lambda each: each.offset_s or 0.0):
        if not starts or starts[-1][1] != step.phase:
            starts.append((step.offset_s or 0.0, step.phase))
    end = max(((step.offset_s or 0.0) + (step.actual_s or 0.0) for step in steps), default=0.0)
    edges = [*starts, (end, "")]
    for number, ((begin, phase), (until, _)) in enumerate(itertools.pairwise(edges)):
        x, width = scale.x(begin), scale.x(until) - scale.x(begin)
        # A word that does not fit its band would run into the next one.
        label = phase if len(phase) * LABEL_CHARACTER <= width else ""
        yield Band(x, round(width, 2), label, number % 2 == 0)


def _failed_bars(buckets: Sequence[Bucket], scale: _Scale, vertical: _Vertical) -> Iterator[Bar]:
    for each in buckets:
        if each.failed:
            top = vertical.y(each.ok + each.failed)
            # One failed request in a thousand must still be seen.
            height = max(4.0, vertical.y(each.ok) - top)
            width = max(2.5, scale.x(each.second + 1) - scale.x(each.second))
            title = f"second {each.second}: {each.failed} failed, {each.ok} answered"
            yield Bar(scale.x(each.second), top, round(width, 2), round(height, 2), title)


def _release_areas(evidence: Evidence, scale: _Scale, top: float) -> Iterator[Area]:
    """Yield the stacked shares, the source at the bottom; colours go by role, other releases share a third."""
    source, target = str(evidence.source), str(evidence.target)
    names = sorted(evidence.answers_by_release, key=lambda name: (name != source, name != target, name))
    answered = [each for each in _closed(evidence.buckets) if sum(each.by_release.values())]
    floors = [0.0] * len(answered)
    for name in names:
        shares = [each.by_release.get(name, 0) / sum(each.by_release.values()) for each in answered]
        tops = [floor + share for floor, share in zip(floors, shares, strict=True)]
        xs = [scale.x(each.second) for each in answered]
        path = "".join(
            f"{'L' if i else 'M'}{x},{_share_y(top, share)}" for i, (x, share) in enumerate(zip(xs, tops, strict=True))
        )
        back = "".join(f"L{x},{_share_y(top, share)}" for x, share in reversed(list(zip(xs, floors, strict=True))))
        kind = "source" if name == source else "target" if name == target else "other"
        yield Area(f"{path}{back}Z" if path else "", name, kind)
        floors = tops


def _share_y(top: float, share: float) -> float:
    return round(top + MIX * (1 - min(share, 1.0)), 2)


def _step_bars(steps: Sequence[StepTiming], scale: _Scale, top: float) -> Iterator[Bar]:
    for row, step in enumerate(sorted(steps, key=lambda each: each.offset_s or 0.0)):
        begin = step.offset_s or 0.0
        x = scale.x(begin)
        width = max(2.5, scale.x(begin + (step.actual_s or 0.0)) - x)
        took = f"{step.actual_s:.1f} s" if step.actual_s is not None else "not finished"
        label = f"{step.title} · {took}"
        fits_right = x + width + 6 + len(label) * LABEL_CHARACTER < WIDTH - RIGHT
        title = f"{step.title}: {took}, planned {step.planned_s:.1f} s"
        yield Bar(
            x=x,
            y=round(top + row * ROW + 4, 2),
            width=round(width, 2),
            height=ROW - 7,
            title=f"{title}; {step.error}" if step.error else title,
            label=label,
            label_x=round(x + width + 6 if fits_right else x - 6, 2),
            anchor="start" if fits_right else "end",
            kind="failed" if step.state == "failed" else "no-return" if step.point_of_no_return else step.state,
        )
