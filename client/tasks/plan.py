"""What a run asks about each kind of file: every request but its media."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from client.media.kinds import Kind

if TYPE_CHECKING:
    from client.media.sampling import Sampling
    from client.tasks.tasks import Task


@dataclass(frozen=True, slots=True)
class Request:
    """One question about one kind of file; `identity` is its part of the ledger's key."""

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

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """(task, prompt hash, model, parameters): asked again when any of them changes."""
        return (self.task, self.prompt_hash, self.model, self.params)


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of a run for each kind of file, and the languages of the answers."""

    requests: dict[Kind, list[Request]]
    models: dict[Kind, str]
    temperature: float
    languages: tuple[str, ...]

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
            {Kind(kind): [Request(**request) for request in requests] for kind, requests in plan["requests"].items()},
            {Kind(kind): model for kind, model in plan["models"].items()},
            plan["temperature"],
            tuple(plan["languages"]),
        )


def prompt_hash(text: str) -> str:
    """What stands for a prompt in the ledger's key: the hex SHA-256 of its UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_plan(
    tasks: list[Task],
    models: dict[Kind, str],
    temperature: float,
    sampling: Sampling,
    languages: tuple[str, ...],
) -> Plan:
    """Combine tasks, models and parameters."""
    media = {Kind.IMAGE: {}, Kind.VIDEO: sampling.params()}
    requests: dict[Kind, list[Request]] = {kind: [] for kind in Kind}
    for task in tasks:
        for kind, prompt in task.prompts.items():
            params = {"temperature": temperature, "max_tokens": prompt.max_tokens, **media[kind]}
            requests[kind].append(
                Request(
                    key=task.key,
                    task=task.name,
                    prompt=prompt.text,
                    question=task.question,
                    answer=prompt.answer,
                    model=models[kind],
                    temperature=temperature,
                    max_tokens=prompt.max_tokens,
                    params=json.dumps(params, sort_keys=True),
                    prompt_hash=prompt_hash(prompt.text),
                )
            )
    return Plan(requests, models, temperature, languages)
