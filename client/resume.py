"""Resuming: what is still to be done about a file, decided from what the ledger holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from client.record import languages_of, missing_languages, source_of, texts_of
from client.tasks.plan import unknown_sound
from client.tasks.steps import OverKind
from client.tasks.units import UnitKind

if TYPE_CHECKING:
    from client.ledger.redo import Redo
    from client.ledger.rows import StoredAnswer, StoredFile
    from client.tasks.merge import Merge
    from client.tasks.plan import AnswerKey, Plan, UnitRequest
    from client.tasks.steps import Over


class PendingTranslation(NamedTuple):
    """An answer that lacks translations."""

    ask: UnitRequest
    texts: list[str]
    """Its parts: the items of a list, or the whole answer."""
    languages: list[str]
    """FLORES codes."""
    source: str
    """That of the language it is in."""


@dataclass(slots=True)
class Missing:
    """What a run has to do about a file, and what it will not do."""

    asks: list[UnitRequest] = field(default_factory=list)
    """To be asked; merges only if all that they are made of is answered."""
    merges: list[Merge] = field(default_factory=list)
    """Those that wait for some of `asks`."""
    inputs: dict[AnswerKey, str] = field(default_factory=dict)
    """The answers that merges are made of, as far as these are there."""
    texts: list[PendingTranslation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What failed for good, in words for the user."""
    unheard: Over | None = None
    """Sound of which not all is transcribed; it has to be decoded, and tells by itself what is missing of it."""
    touched: bool = False
    """This very run has answered or failed some of it: the file has been named twice."""


def missing_requests(stored: StoredFile, plan: Plan, redo: Redo | None, run: int | None = None) -> Missing:
    """What of `plan` is missing for a file; `run` is the id of this run, whose own failures are not tried again."""
    requests = plan.requests[stored.kind]
    missing = Missing(unheard=unknown_sound(requests, stored.probe))

    def lacks(ask: UnitRequest) -> bool:
        return is_missing(ask, stored.answers.get(ask.key), plan, redo, run=run, missing=missing)

    about_sound = [ask for ask in stored.asks if ask.request.over.kind is OverKind.AUDIO]
    for ask in about_sound:
        if is_missing(ask, stored.answers.get(ask.key), plan, redo, run=run, missing=Missing()):
            missing.unheard = ask.request.over
    if not missing.unheard:
        missing.asks += [ask for ask in about_sound if lacks(ask)]  # none, but for their translations
    others = [ask for ask in stored.asks if not ask.unit.inputs and ask not in about_sound]
    missing.asks += [ask for ask in others if lacks(ask)]
    for merge in stored.merges:
        level: Merge | None = merge
        while level:
            unanswered = {ask.key for ask in missing.asks}
            missing.inputs.update(_answered(level, stored, unanswered))
            if any(ask.key in unanswered for ask in level.inputs):
                missing.merges.append(level)
                break
            asks, level = level.follow(missing.inputs)
            missing.asks += [ask for ask in asks if lacks(ask)]
    if stored.error and not redo:
        missing.problems.append(stored.error)
        missing.asks, missing.merges, missing.unheard = [], [], None
    return missing


def new_translations(ask: UnitRequest, text: str, plan: Plan) -> list[PendingTranslation]:
    """What is to be translated of an answer that has just come."""
    if ask.unit.kind is UnitKind.DIGEST:
        return []
    texts, languages = texts_of(ask.request, text), languages_of(ask.request, text, plan)
    return [PendingTranslation(ask, texts, languages, source_of(ask.request, text))] if texts and languages else []


def is_missing(
    ask: UnitRequest, answer: StoredAnswer | None, plan: Plan, redo: Redo | None, *, run: int | None, missing: Missing
) -> bool:
    """Whether a request is to be asked, given what is stored; what else is to be done about it goes to `missing`."""
    if answer is None:
        return True
    now = answer.run == run
    if (answer.state == "pending" and not now) or (redo and redo.again(*_standing(ask, answer))):
        return True
    missing.touched = missing.touched or now
    if answer.state != "done":
        when = "" if now else " (in an earlier run; --redo failed tries again)"
        missing.problems.append(f"{ask.label}: {answer.error}{when}")
    elif ask.unit.kind is not UnitKind.DIGEST and (languages := missing_languages(ask.request, answer, plan)):
        source = source_of(ask.request, answer.text)
        missing.texts.append(PendingTranslation(ask, texts_of(ask.request, answer.text), languages, source))
    return False


def _standing(ask: UnitRequest, answer: StoredAnswer) -> tuple[str, str, str | None, int]:
    return ask.request.task, answer.state, answer.verdict, answer.run


def _answered(merge: Merge, stored: StoredFile, unanswered: set[AnswerKey]) -> dict[AnswerKey, str]:
    """The answers that a merge can rely on."""
    found = ((ask.key, stored.answers.get(ask.key)) for ask in merge.inputs if ask.key not in unanswered)
    return {key: answer.text for key, answer in found if answer and answer.state == "done"}
