"""What a run asks about each kind of file: every request but its media."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from client.errors import UsageError
from client.media.content import SceneBounds
from client.media.kinds import Kind
from client.tasks import transcript, units
from client.tasks.prompt import END, START, TRANSCRIPT
from client.tasks.schemas import in_one_order
from client.tasks.steps import MERGED_CHARACTERS, WHOLE, Over, OverKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from client.media.content import Probe
    from client.media.sampling import Sampling
    from client.tasks.tasks import Task
    from client.tasks.transcript import Said
    from client.tasks.units import Unit

IMAGE_MODEL, VIDEO_MODEL = "llama-3.2-11b-vision", "llava-next-video-7b"
SPEECH_MODEL = "whisper-large-v3-turbo"
HEARD = f"""

This is the transcript of what is said in it meanwhile, made by a speech model, which may mishear:
{TRANSCRIPT}
Beside what can be seen, take into account what is said, and quote no words that are not in this transcript."""
"""Put after a prompt that hears, if it has no place of its own for that, and something is said."""
MEASURED = "measured"
"""In the place of a model's name."""
_LONGEST_QUESTION = 50
"""Characters of a question that messages show."""


class Turn(NamedTuple):
    """A question of a conversation, as it was sent, and its answer."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question about one kind of file, or about units of it; `identity` is its part of the ledger's key."""

    key: str
    task: str
    prompt: str
    question: str | None
    answer: str
    model: str
    temperature: float
    max_tokens: int
    params: str
    prompt_hash: str
    over: Over = WHOLE
    """What of a file it is about: each unit is a request of its own."""
    step: str = ""
    """The name of the task's step that it is."""
    frames: int | None = None
    """Of a video: so many, whatever the run says of others."""
    hears: bool = False
    """It is told what is said in the time that it is about."""
    translated: bool = True
    """Whether the run wants its answers in other languages."""
    talk: str | None = None
    """What is asked instead, without frames, where people talk and hardly anything is to be seen; see `ask_of`."""
    measure: str | None = None
    """What is measured, where no model is asked; `model` is `MEASURED` then."""
    earlier: tuple[Turn, ...] = ()
    """What was asked about the same file before, which the model is told."""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """(task, prompt hash, model, parameters): asked again when any of them changes."""
        return (self.task, self.prompt_hash, self.model, self.params)

    @property
    def label(self) -> str:
        """What it is in messages: see `label_of`."""
        return label_of(self.task, self.question)


def label_of(task: str, question: str | None) -> str:
    """What is asked, in messages: `tags`, or `ask "Who is it?"`, as numbers of questions differ from run to run."""
    if question is None:
        return task
    words = " ".join(question.split())
    return f'{task} "{words if len(words) <= _LONGEST_QUESTION else words[: _LONGEST_QUESTION - 3] + "..."}"'


AnswerKey = tuple[str, ...]
"""(unit, task, prompt hash, model, parameters): what an answer is kept under."""


class UnitRequest(NamedTuple):
    """A request about a unit."""

    unit: Unit
    request: Request

    @property
    def key(self) -> AnswerKey:
        """Under which the ledger keeps its answer."""
        return (self.unit.id, *self.request.identity)

    @property
    def label(self) -> str:
        """What it is in messages: the request's label, and the time that it is about."""
        span = self.unit.span
        return f"{self.request.label} {span}" if span else self.request.label


def expand(
    requests: Iterable[Request], content: str, probe: Probe | None, said: list[Said] | None = None
) -> list[UnitRequest]:
    """All that is asked about a file, but what is merged of answers: unit by unit, so that each is loaded once.

    Without what is `said` in it, there is nothing that depends on that.
    """
    asked = [request for request in requests if said is not None or not request.hears]
    return in_order(ask_of(request, unit, said) for request in asked for unit in request.over.units(content, probe))


def untold(requests: Iterable[Request], content: str, probe: Probe | None) -> list[UnitRequest]:
    """All that is asked about a file and depends on what is said in it, without that yet: see `ask_of`."""
    asked = [request for request in requests if request.hears]
    return in_order(UnitRequest(unit, request) for request in asked for unit in request.over.units(content, probe))


def in_order(asks: Iterable[UnitRequest]) -> list[UnitRequest]:
    """Those about all of a file first, then by time."""
    return sorted(asks, key=lambda ask: (ask.unit.span is not None, ask.unit.span or (), ask.unit.id))


def ask_of(request: Request, unit: Unit, said: list[Said] | None = None) -> UnitRequest:
    """A request about a unit; its prompt says which time of the video is shown, where it has a place for that.

    What is `said` in that time stands in the prompt of a request that hears, and makes it another unit. Where nothing
    is said, a prompt without a place for that is as it is for those that do not hear. `talk` is left of it where people
    talk.
    """
    if request.hears:
        text = transcript.lines(said or [], unit.span)
        earlier = tuple(Turn(_told(turn.prompt, text), turn.answer) for turn in request.earlier)
        talk = request.talk and request.talk.replace(TRANSCRIPT, text)
        talks = talk and unit.span and transcript.people_talk(said or [], unit.span)
        prompt = _told(request.prompt, text)
        request = replace(request, prompt=prompt, talk=talk if talks else None, earlier=earlier)
        unit = units.heard(unit, text)
    start, end = (f"{at / 1e6:.1f}".removesuffix(".0") + " s" for at in unit.span) if unit.span else ("0 s", "its end")
    prompt = request.prompt.replace(START, start).replace(END, end)
    talk = request.talk and request.talk.replace(START, start).replace(END, end)
    same = (prompt, talk) == (request.prompt, request.talk)
    return UnitRequest(unit, request if same else replace(request, prompt=prompt, talk=talk))


def _told(prompt: str, text: str) -> str:
    """A prompt with what is said; where nothing is, and it has no place of its own for that, without any of it."""
    asked = prompt.removesuffix(HEARD) if text == transcript.NOTHING else prompt
    return asked.replace(TRANSCRIPT, text)


def needs_probe(requests: Iterable[Request], kind: Kind) -> bool:
    """Whether it takes a look at a file's packets to `expand` them."""
    timed = (OverKind.WINDOWS, OverKind.AUDIO)
    return kind is Kind.VIDEO and any(request.over.kind in timed for request in requests)


def unknown_sound(requests: Iterable[Request], probe: Probe | None) -> Over | None:
    """The sound that has to be decoded to `expand` them, if that was not done yet."""
    return next((request.over for request in requests if request.over.unknown_sound(probe)), None)


def unknown_scenes(requests: Iterable[Request], kind: Kind, probe: Probe | None) -> SceneBounds | None:
    """The scenes that it takes to `expand` them, if a file's are not known yet."""
    found = (request.over.unknown_scenes(probe) for request in requests) if kind is Kind.VIDEO else ()
    return next((bounds for bounds in found if bounds), None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of a run for each kind of file, and the languages of the answers."""

    requests: dict[Kind, list[Request]]
    models: dict[Kind, str]
    temperature: float
    languages: tuple[str, ...]

    @property
    def over_scenes(self) -> bool:
        """Whether it asks about scenes."""
        return any(request.over.scenes for requests in self.requests.values() for request in requests)

    def models_asked(self, kind: Kind) -> set[str]:
        """The models that are asked anything about what files of a kind show."""
        asked = (request for request in self.requests[kind] if request.over.kind is not OverKind.AUDIO)
        return {request.model for request in asked if request.measure is None}

    @property
    def speech_model(self) -> str | None:
        """Who hears what is said, if anything is heard."""
        found = (request for requests in self.requests.values() for request in requests)
        return next((request.model for request in found if request.over.kind is OverKind.AUDIO), None)

    def most_frames(self, sampling: Sampling) -> int:
        """The most frames that are sent of a video."""
        return max((sampling.own(request.frames).most for request in self.requests[Kind.VIDEO]), default=sampling.most)

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What `to_json` made.

        Raises:
            ValueError, TypeError, KeyError: another version made it, of other parts.
        """
        plan = json.loads(text)
        return cls(
            {
                kind: [_request(**request) for request in plan["requests"].get(kind.value, ())]  # older ones know fewer
                for kind in Kind
            },
            {Kind(kind): model for kind, model in plan["models"].items()},
            plan["temperature"],
            tuple(plan["languages"]),
        )


def _request(over: dict[str, Any] | None = None, earlier: Iterable[tuple[str, str]] = (), **fields: Any) -> Request:
    turns = tuple(Turn(*turn) for turn in earlier)
    return Request(**fields, over=_over(**over) if over else WHOLE, earlier=turns)


def _over(kind: str, scenes: dict[str, int] | None = None, **fields: Any) -> Over:
    return Over(OverKind(kind), **fields, scenes=SceneBounds(**scenes) if scenes else None)


def prompt_hash(text: str) -> str:
    """What stands for a prompt in the ledger's key: the hex SHA-256 of its UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _check_merges(task: Task) -> None:
    for steps in task.steps.values():
        asked = [step.name for step in steps if step.over.kind is not OverKind.MERGE]
        for step in steps:
            if step.over.kind is OverKind.MERGE and step.over.step not in asked:
                raise UsageError(
                    f"task {task.name}: a step merges the answers to {step.over.step!r}, which is no step that asks "
                    f"about the file itself ({', '.join(asked) or 'there is none'})"
                )


def make_plan(
    tasks: list[Task],
    models: dict[Kind, str],
    temperature: float,
    sampling: Sampling,
    languages: tuple[str, ...],
    *,
    text_model: str | None = None,
    speech_model: str = SPEECH_MODEL,
    merge_characters: int = MERGED_CHARACTERS,
    sound: Over | None = None,
    aside: Collection[str] = (),
    max_tokens: int | None = None,
) -> Plan:
    """Combine tasks, models and parameters.

    `text_model` merges answers, so many characters of them at a time; it is that of pictures unless it is named.
    `speech_model` transcribes. `sound` is what prompts about videos are told that hear; None: they hear nothing.
    Answers to the tasks `aside` are not translated. `max_tokens` of an answer stand in the place of those of prompts,
    but for what is heard.

    Raises:
        UsageError: a task merges the answers to a step that it does not have, or to a merge.
    """
    requests: dict[Kind, list[Request]] = {kind: [] for kind in Kind}
    for task in tasks:
        _check_merges(task)
        for kind, step in ((kind, step) for kind, steps in task.steps.items() for step in steps):
            prompt, merges, hears = step.prompt, step.over.kind is OverKind.MERGE, step.over.kind is OverKind.AUDIO
            looks = not (merges or hears)
            model = speech_model if hears else (text_model or models[Kind.IMAGE]) if merges else models[kind]
            own = temperature if prompt.temperature is None else prompt.temperature
            text = prompt.text.replace(TRANSCRIPT, "")
            told = sound if looks and kind is Kind.VIDEO and (prompt.hears or TRANSCRIPT in prompt.text) else None
            if told:
                text = prompt.text if TRANSCRIPT in prompt.text else f"{prompt.text}{HEARD}"
            talk = step.talk.text if step.talk and told else None
            most = prompt.max_tokens if hears or max_tokens is None else max_tokens
            params: dict[str, Any] = {"temperature": own, "max_tokens": most, **step.over.params()}
            if looks and kind is Kind.VIDEO:
                params |= sampling.own(prompt.frames).params()
            if told:
                params["heard"] = {"model": speech_model, **told.params()}
            if prompt.schema is not None:
                params["schema"] = prompt_hash(in_one_order(prompt.answer))
            requests[kind].append(
                Request(
                    key=task.key,
                    task=task.name,
                    prompt=text,
                    question=task.question,
                    answer=prompt.answer,
                    model=MEASURED if prompt.measure else model,
                    temperature=own,
                    max_tokens=most,
                    params=json.dumps(params, sort_keys=True),
                    prompt_hash=prompt_hash(f"{text}\n\n{talk}" if talk else text),
                    over=step.over if not merges else replace(step.over, most_characters=merge_characters),
                    step=step.name,
                    frames=prompt.frames,
                    hears=told is not None,
                    translated=task.name not in aside,
                    talk=talk,
                    measure=prompt.measure,
                )
            )
    return Plan(requests, models, temperature, languages)
