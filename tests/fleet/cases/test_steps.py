"""Seven steps, none skipped; who handled a case does not close it; no photo, no closing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cases.errors import RefusedError
from gatehouse_fleet.cases.steps import BACK, ORDER, CaseStep, Move, Progress, advance, path, send_back

FORWARD = [move for move in Move if move is not Move.SEND_BACK]


def test_a_case_goes_through_all_seven_steps() -> None:
    case = Progress(step=CaseStep.COLLECTED, photos=1)
    seen = [case.step]
    for move, by in zip(FORWARD, ("a", "b", "c", "c", "d", "e"), strict=True):
        case = advance(case, move, by)
        seen.append(case.step)
    assert tuple(seen) == ORDER


@pytest.mark.parametrize("step", list(CaseStep))
@pytest.mark.parametrize("move", FORWARD)
def test_no_move_skips_a_step(step: CaseStep, move: Move) -> None:
    try:
        after = advance(Progress(step=step, photos=1), move, "somebody")
    except RefusedError as refused:
        assert refused.reason == "step"  # noqa: PT017  # both ends of the rule in one table
    else:
        assert ORDER.index(after.step) == ORDER.index(step) + 1


def test_without_a_photo_no_case_is_closed() -> None:
    with pytest.raises(RefusedError, match="photo"):
        advance(Progress(step=CaseStep.FEEDBACK), Move.VERIFY, "judge")


def test_with_an_open_alarm_no_case_is_closed() -> None:
    with pytest.raises(RefusedError, match="alarm_open"):
        advance(Progress(step=CaseStep.FEEDBACK, photos=1, open_alarms=1), Move.VERIFY, "judge")


@pytest.mark.parametrize(
    ("step", "move"), [(CaseStep.FEEDBACK, Move.VERIFY), (CaseStep.VERIFIED_CLOSED, Move.EVALUATE)]
)
def test_who_handled_it_neither_verifies_nor_evaluates(step: CaseStep, move: Move) -> None:
    with pytest.raises(RefusedError, match="same_person"):
        advance(Progress(step=step, photos=1, handlers=("worker",)), move, "worker")


def test_a_case_sent_back_needs_a_reason_and_a_new_photo() -> None:
    case = Progress(step=CaseStep.FEEDBACK, photos=2, handlers=("worker",))
    with pytest.raises(RefusedError, match="reason"):
        send_back(case, CaseStep.HANDLING, "  ")
    again = send_back(case, CaseStep.HANDLING, "照片看不清")
    assert (again.step, again.photos, again.handlers) == (CaseStep.HANDLING, 0, ("worker",))


@pytest.mark.parametrize(
    "step", [CaseStep.COLLECTED, CaseStep.FILED, CaseStep.VERIFIED_CLOSED, CaseStep.EVALUATED]
)
@pytest.mark.parametrize("target", list(CaseStep))
def test_only_work_is_sent_back(step: CaseStep, target: CaseStep) -> None:
    with pytest.raises(RefusedError, match="step"):
        send_back(Progress(step=step), target, "reason")


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(FORWARD), st.sampled_from(["a", "b"]))
        | st.tuples(st.sampled_from(list(CaseStep)), st.just("")),
        max_size=30,
    )
)
def test_any_order_of_moves_keeps_the_rules(moves: list[tuple[Move | CaseStep, str]]) -> None:
    case = Progress(step=CaseStep.COLLECTED, photos=1)
    for what, by in moves:
        before = case
        try:
            case = advance(case, what, by) if isinstance(what, Move) else send_back(case, what, "返工")
        except RefusedError:
            continue
        steps = ORDER.index(case.step) - ORDER.index(before.step)
        assert steps == 1 or case.step in BACK[before.step]
        assert set(before.handlers) <= set(case.handlers)
        assert case.step is not CaseStep.VERIFIED_CLOSED or (by not in case.handlers and case.photos)


def test_the_way_to_a_step_names_every_step_between() -> None:
    assert path(CaseStep.COLLECTED, CaseStep.FEEDBACK) == (Move.FILE, Move.DISPATCH, Move.TAKE, Move.FEEDBACK)
    assert path(CaseStep.FEEDBACK, CaseStep.HANDLING) == ()
