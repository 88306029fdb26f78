"""How alarms came and how people answered them: rate in ten minutes, time to acknowledge, the worst actors. Pure.

Figures after ISA-18.2 and EEMUA 191 as quoted by secondary sources (domain notes §6): about one alarm in ten minutes is what one operator
handles well and two the most; ten in ten minutes are a flood, in less than 1 % of the periods; the ten most frequent alarms make at most
5 % of the load; fewer than five are stale; priorities stand about 80/15/5. They were measured on process plants: here they are a yardstick, not a duty.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import fmean
from typing import Final

from msgspec import Struct

from gatehouse_events.states import ACK_LIMIT_S, Disposition, Label, Priority

PERIOD: Final = timedelta(minutes=10)
FLOOD: Final = 10
STALE_AFTER: Final = timedelta(hours=24)
MAX_DAYS: Final = 31
ACTORS: Final = 20
GOOD_IN_PERIOD: Final = 1.0
MOST_IN_PERIOD: Final = 2.0
FLOOD_SHARE: Final = 0.01
TOP_TEN_SHARE: Final = 0.05
STALE_COUNT: Final = 5
CRITICAL_SHARE: Final = 0.05


class AlarmFact(Struct, frozen=True, kw_only=True):
    """What is known of one alarm of the span; drills are left out before."""

    source: tuple[str, str, str]
    """Gateway, device, code."""
    community: str
    priority: Priority
    raised_at: datetime
    is_open: bool
    repeats: int = 0
    acked_at: datetime | None = None
    acked_by: str | None = None
    disposition: Disposition | None = None


class Actor(Struct, frozen=True, kw_only=True):
    """One source of many alarms."""

    gateway_id: str
    device_id: str
    code: str
    community: str
    times: int
    """Occurrences, with those that joined a card."""
    share: float


class Answered(Struct, frozen=True, kw_only=True):
    """How alarms of one priority were acknowledged."""

    priority: Priority
    alarms: int
    acknowledged: int
    in_time: int
    """Within the limit of the priority; P4 has none and counts when it was acknowledged at all."""
    limit_s: float | None
    mean_s: float | None
    median_s: float | None
    slowest_s: float | None


class Person(Struct, frozen=True, kw_only=True):
    """Who acknowledged."""

    name: str
    acknowledged: int
    mean_s: float
    most_in_period: int


class Measure(Struct, frozen=True, kw_only=True):
    """One figure against what is recommended."""

    name: str
    label: Label
    value: float | None
    good: float
    limit: float
    is_share: bool

    @property
    def verdict(self) -> str:
        """`good`, `high`, `over`, or `none` where nothing was measured."""
        if self.value is None:
            return "none"
        if self.value <= self.good:
            return "good"
        return "high" if self.value <= self.limit else "over"


class AlarmFigures(Struct, frozen=True, kw_only=True):
    """Everything of one span."""

    alarms: int
    occurrences: int
    false_alarms: int
    open: int
    periods: tuple[int, ...]
    """Alarms raised in each ten minutes from the start."""
    answered: tuple[Answered, ...]
    actors: tuple[Actor, ...]
    people: tuple[Person, ...]
    measures: tuple[Measure, ...]


def figures(facts: Sequence[AlarmFact], start: datetime, end: datetime, now: datetime) -> AlarmFigures:
    """Return the figures of the alarms raised in [start, end); what lies after `now` is not counted as quiet."""
    told_to = max(min(end, now), start)
    inside = [one for one in facts if start <= one.raised_at < end]
    periods = _periods([one.raised_at for one in inside], start, told_to)
    actors, top_ten = _actors(inside)
    stale = sum(one.is_open and now - one.raised_at > STALE_AFTER for one in inside)
    return AlarmFigures(
        alarms=len(inside),
        occurrences=sum(one.repeats + 1 for one in inside),
        false_alarms=sum(one.disposition is Disposition.FALSE_ALARM for one in inside),
        open=sum(one.is_open for one in inside),
        periods=periods,
        answered=tuple(_answered(one, inside) for one in Priority),
        actors=actors,
        people=_people(inside, start, told_to),
        measures=_measures(inside, periods, top_ten, stale),
    )


def _periods(raised: Iterable[datetime], start: datetime, end: datetime) -> tuple[int, ...]:
    counted = [0] * max(1, -((start - end) // PERIOD))
    for at in raised:
        index = (at - start) // PERIOD
        if index < len(counted):
            counted[index] += 1
    return tuple(counted)


def _actors(inside: Sequence[AlarmFact]) -> tuple[tuple[Actor, ...], float | None]:
    times: Counter[tuple[str, str, str]] = Counter()
    places: dict[tuple[str, str, str], str] = {}
    for one in inside:
        times[one.source] += one.repeats + 1
        places[one.source] = one.community
    whole = times.total()
    if not whole:
        return (), None
    # The same figure twice in a row looks the same: equal counts stand by name.
    ranked = sorted(times.items(), key=lambda item: (-item[1], item[0]))
    actors = tuple(
        Actor(
            gateway_id=source[0],
            device_id=source[1],
            code=source[2],
            community=places[source],
            times=count,
            share=count / whole,
        )
        for source, count in ranked[:ACTORS]
    )
    return actors, sum(count for _, count in ranked[:10]) / whole


def _answered(priority: Priority, inside: Sequence[AlarmFact]) -> Answered:
    mine = [one for one in inside if one.priority is priority]
    took = sorted(seconds for one in mine if (seconds := _took(one)) is not None)
    limit = ACK_LIMIT_S[priority]
    return Answered(
        priority=priority,
        alarms=len(mine),
        acknowledged=len(took),
        in_time=len(took) if limit is None else sum(seconds <= limit for seconds in took),
        limit_s=limit,
        mean_s=fmean(took) if took else None,
        median_s=took[len(took) // 2] if took else None,
        slowest_s=took[-1] if took else None,
    )


def _took(one: AlarmFact) -> float | None:
    """A gateway's clock that was put back between the two gives nothing rather than a negative time."""
    if one.acked_at is None or one.acked_at < one.raised_at:
        return None
    return (one.acked_at - one.raised_at).total_seconds()


def _people(inside: Sequence[AlarmFact], start: datetime, end: datetime) -> tuple[Person, ...]:
    by_name: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for one in inside:
        seconds = _took(one)
        if seconds is not None and one.acked_at is not None and one.acked_by:
            by_name[one.acked_by].append((one.acked_at, seconds))
    found = [
        Person(
            name=name,
            acknowledged=len(done),
            mean_s=fmean(seconds for _, seconds in done),
            most_in_period=max(_periods((at for at, _ in done), start, end)),
        )
        for name, done in by_name.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.acknowledged, one.name)))


def _measures(
    inside: Sequence[AlarmFact], periods: Sequence[int], top_ten: float | None, stale: int
) -> tuple[Measure, ...]:
    critical = sum(one.priority is Priority.P1 for one in inside)
    rows = (
        ("mean", Label("平均每 10 分钟报警数", "alarms in 10 min, mean"), fmean(periods), GOOD_IN_PERIOD, MOST_IN_PERIOD, False),
        ("most", Label("10 分钟内最多报警数", "most alarms in 10 min"), float(max(periods)), float(FLOOD), float(FLOOD), False),
        ("flood", Label("泛滥时段占比", "periods in flood"), sum(n > FLOOD for n in periods) / len(periods), FLOOD_SHARE, FLOOD_SHARE, True),
        ("top_ten", Label("前十报警源占比", "load of the ten worst actors"), top_ten, TOP_TEN_SHARE, TOP_TEN_SHARE, True),
        ("stale", Label("滞留超过 24 小时", "stale for more than 24 h"), float(stale), float(STALE_COUNT), float(STALE_COUNT), False),
        ("critical", Label("紧急报警占比", "share of P1"), critical / len(inside) if inside else None, CRITICAL_SHARE, CRITICAL_SHARE, True),
    )  # fmt: skip
    return tuple(
        Measure(name=name, label=label, value=value, good=good, limit=limit, is_share=is_share)
        for name, label, value, good, limit, is_share in rows
    )
