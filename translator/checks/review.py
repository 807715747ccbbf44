"""Every translation is checked; one with issues is tried again, and what stays bad is said to be.

The ways to try again, in order: without repeated sequences of four tokens, which ends loops; then in parts, at
clauses and around addresses, or, of a fragment without any, as a whole sentence with a full stop. All tries go
through the batcher, so that they share batches and the cache. Their number is fixed: a text made to fail costs
about three times one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from translator.checks.checks import find_issues, find_remarks
from translator.glossary import Term, inlined, missing, occurrences
from translator.model.job import CUT, MAX_SOURCE_TOKENS, Job, Translation
from translator.text import protected, scripts, sentences
from translator.text.placement import put_in
from translator.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from translator.batcher import Batcher, Run
    from translator.checks.checks import Thresholds
    from translator.text.placement import Anchor

Verdict = Literal["ok", "retried", "doubtful"]

_NO_REPEAT = 4
_STOPS = ".\u3002\u0964\u1362\u104b\u0f0d\u06d4"  # of Latin, Chinese, Hindi, Amharic, Burmese, Tibetan, Urdu
_ABBREVIATIONS = frozenset({"etc", "inc", "ltd", "co", "jr", "sr", "ca", "usw", "bzw", "dr", "st", "nr"})


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The best translation that was found, and how good it is."""

    text: str
    verdict: Verdict = "ok"
    reason: str | None = None
    """The issues; of an `ok` one what is worth to know, if anything: figures given in other units."""
    score: float | None = field(default=None, compare=False)
    """Mean log-probability of its tokens; None if the model was not asked."""
    alternatives: tuple[str, ...] = ()
    """Other translations, the likeliest first; unchecked."""
    by: str = ""
    """Which other model made it; empty for the service's own."""
    anchors: tuple[Anchor, ...] = field(default=(), compare=False, repr=False)
    """Which place of the source each token translates, where that is known."""


def with_checks(run: Run, thresholds: Thresholds) -> Run:
    """`run`, with the issues that the quality checks find added to each translation."""

    def checked(jobs: list[Job], /) -> list[Translation]:
        return [_check(job, result, thresholds) for job, result in zip(jobs, run(jobs), strict=True)]

    return checked


class Second(Protocol):
    """Another engine."""

    async def translate(self, jobs: Sequence[Job]) -> dict[Job, Translation]:
        """Translations of sentences; those that it does not answer are missing."""


class Reviewer:
    """Translates through the batcher, more than once where that is needed."""

    def __init__(
        self,
        make_job: Callable[[str, str, str], Job],
        batcher: Batcher,
        thresholds: Thresholds | None,
        second: Second | None = None,
    ) -> None:
        """Retry what has issues.

        Args:
            make_job: from a text, its language and the target language (see `Engine.job`).
            batcher: what translates; its `run` finds the issues (see `with_checks`).
            thresholds: of the checks of sentences put together from parts; None checks nothing.
            second: asked about sentences that stay doubtful, if there are `thresholds` to judge its answers by.
        """
        self._make_job = make_job
        self._batcher = batcher
        self._thresholds = thresholds
        self._second = second

    async def translate(self, jobs: Sequence[Job]) -> list[Reviewed]:
        """The best translation of each sentence.

        Raises:
            QueueFullError, TooManySentencesError, ClosedError: the batcher cannot take them.
        """
        with self._batcher.request():
            first = dict(zip(jobs, await self._batcher.translate(jobs), strict=True))
            best = first | await self._with_terms(first)
            for attempt in (self._without_repeats, self._in_parts):
                best = best | await self._again([job for job, result in best.items() if result.issues], best, attempt)
        if self._second and self._thresholds:
            best = best | await self._better(best, self._second, self._thresholds)
        return [_verdict(job.text, first[job], best[job]) for job in jobs]

    async def _with_terms(self, first: dict[Job, Translation]) -> dict[Job, Translation]:
        """Translations that lost a term, with it in place of the words that translate it, if attention tells which."""
        thresholds = self._thresholds
        if not thresholds or not any(job.terms for job in first):
            return {}

        def put(wanted: Callable[[], None]) -> dict[Job, Translation]:
            better: dict[Job, Translation] = {}
            for job, result in first.items():
                lost = set(missing(job.terms, result.text))
                if not lost or not result.anchors:
                    continue
                wanted()
                places = [(a, b, term.target) for a, b, term in occurrences(job.terms, job.text) if term.target in lost]
                if (there := put_in(job.text, result.text, places, result.anchors)) is not None:
                    text, anchors = there
                    cut = (CUT,) if CUT in result.issues else ()
                    changed = replace(result, text=text, issues=cut, anchors=anchors)
                    better[job] = min(result, _check(job, changed, thresholds), key=_badness)
            return better

        return await in_thread(put)

    async def _better(
        self, best: dict[Job, Translation], second: Second, thresholds: Thresholds
    ) -> dict[Job, Translation]:
        """What another engine makes of doubtful sentences, where the checks like that better."""
        asked = [job for job, result in best.items() if result.issues]
        said = await second.translate(asked) if asked else {}

        def choose(wanted: Callable[[], None]) -> dict[Job, Translation]:
            checked: dict[Job, Translation] = {}
            for job, result in said.items():
                wanted()
                checked[job] = _check(job, result, thresholds)
            return {job: result for job, result in checked.items() if _badness(result)[:3] < _badness(best[job])[:3]}

        return await in_thread(choose)

    async def _again(
        self, poor: list[Job], best: dict[Job, Translation], attempt: Callable[[Job], list[Job | str]]
    ) -> dict[Job, Translation]:
        """Try these in another way: job -> the better of what it gives and what was best before."""
        if not poor:
            return {}

        # In threads: all sentences of a huge request may have issues.
        def plan_all(wanted: Callable[[], None]) -> dict[Job, list[Job | str]]:
            plans: dict[Job, list[Job | str]] = {}
            for job in poor:
                wanted()
                plan = attempt(job)  # set translations and a full stop can make it longer than the model takes
                fits = all(len(part.tokens) <= MAX_SOURCE_TOKENS for part in plan if isinstance(part, Job))
                plans[job] = plan if fits else []
            return plans

        plans = await in_thread(plan_all)
        parts = [part for plan in plans.values() for part in plan if isinstance(part, Job)]
        done = dict(zip(parts, await self._batcher.translate(parts, follow_up=True), strict=True))

        def choose(wanted: Callable[[], None]) -> dict[Job, Translation]:
            chosen: dict[Job, Translation] = {}
            for job, plan in plans.items():
                wanted()
                if plan:
                    chosen[job] = min(best[job], self._put_together(job, plan, done), key=_badness)
            return chosen

        return await in_thread(choose)

    def _without_repeats(self, job: Job) -> list[Job | str]:
        """The sentence, and in it already what its terms must read in the translation: models keep foreign words."""
        text = inlined(job.text, job.terms)
        terms = tuple(Term(term.target, term.target) for term in job.terms)
        again = job if text == job.text else self._whole(job, text, terms)
        return [replace(again, no_repeat=_NO_REPEAT)]

    def _in_parts(self, job: Job) -> list[Job | str]:
        """A sentence's clauses, or a fragment as a whole sentence; nothing if it is neither, or of terms alone."""
        terms = {(start, end): term.target for start, end, term in occurrences(job.terms, job.text)}
        kept = [span for span in protected.spans(job.text) if not any(a < span[1] and span[0] < b for a, b in terms)]
        pieces = sentences.clauses(job.text, sorted([*kept, *terms]))
        if len(pieces) == 1:
            return [] if sentences.ends(job.text) else [self._whole(job, job.text + ".", job.terms)]
        spaced = scripts.spaced(scripts.script_of(job.target))
        plan: list[Job | str] = []
        at = 0
        for piece in pieces:
            span = (at, at := at + len(piece.text))
            if piece.is_sentence:
                plan.append(self._job(job, piece.text))
            elif spaced or not piece.text.isspace():
                plan.append(terms.get(span, piece.text))
        return plan if any(isinstance(part, Job) for part in plan) else []

    def _whole(self, job: Job, text: str, terms: tuple[Term, ...]) -> Job:
        """The same sentence in other words."""
        return replace(self._job(job, text), hypotheses=job.hypotheses, align=job.align, terms=terms)

    def _job(self, job: Job, text: str) -> Job:
        return self._make_job(text, job.source, job.target)

    def _put_together(self, job: Job, plan: list[Job | str], done: dict[Job, Translation]) -> Translation:
        """The parts' translations as one of the whole sentence, checked as one."""
        text = "".join(part if isinstance(part, str) else done[part].text for part in plan)
        results = [(done[part], max(1, len(part.tokens))) for part in plan if isinstance(part, Job)]
        if len(plan) == 1:
            return replace(results[0][0], text=_tidy(job.text, text))
        score = sum(result.score * weight for result, weight in results) / sum(weight for _, weight in results)
        cut = (CUT,) if any(CUT in result.issues for result, _ in results) else ()
        whole = Translation(text, cut, score, any(result.failed for result, _ in results))
        return _check(job, whole, self._thresholds) if self._thresholds else whole


def _check(job: Job, result: Translation, thresholds: Thresholds) -> Translation:
    if result.failed:
        return result
    text = _tidy(job.text, result.text)
    lost = missing(job.terms, text)
    languages = job.source, job.target
    found = find_issues(job.text, text, languages, score=result.score, thresholds=thresholds)
    remarks = () if found else find_remarks(job.text, text, languages)
    issues = (*result.issues, *found, *_glossary_issue(lost))
    others = tuple(dict.fromkeys(_tidy(job.text, other) for other in result.alternatives if other))
    others = tuple(other for other in others if other != text)
    return replace(result, text=text, issues=issues, remarks=remarks, alternatives=others)


def _glossary_issue(lost: Sequence[str]) -> list[str]:
    return [f"glossary: {', '.join(lost)} is not there"] if lost else []


def _tidy(source: str, text: str) -> str:
    """Without the full stop that the model, trained on sentences, puts after a fragment ("urban landscape")."""
    bare = text[:-1].rstrip()
    if not bare or text[-1] not in _STOPS or sentences.ends(source):
        return text
    word = bare.split()[-1].lower()
    return text if "." in word or word in _ABBREVIATIONS else bare


def _badness(result: Translation) -> tuple[bool, bool, int, float]:
    return (result.failed, not any(c.isalnum() for c in result.text), len(result.issues), -result.score)


def _verdict(source: str, first: Translation, best: Translation) -> Reviewed:
    if not best.text.strip():  # the sentence must not vanish
        return Reviewed(source, "doubtful", _reason((*best.issues, "the source stands in its place")))
    score = None if best.by else best.score
    reviewed = Reviewed(best.text, "ok", None, score, best.alternatives, best.by, best.anchors)
    if best.issues:
        return replace(reviewed, verdict="doubtful", reason=_reason(best.issues))
    if first.issues:
        return replace(reviewed, verdict="retried", reason=_reason(first.issues))
    return replace(reviewed, reason=_reason(best.remarks) or None)


def _reason(issues: Iterable[str]) -> str:
    return "; ".join(issues)
