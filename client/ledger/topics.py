"""What the files of an output folder were asked: its tasks and questions, and the key of each in a record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from client.tasks.plan import label_of
from client.tasks.tasks import ASK

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from client.tasks.plan import Plan

TEXT = "text"
"""The reader of a prompt that is not known any more."""
# What a run was about that was refused, or interrupted, before it came to anything is nothing that the folder knows.
_KNOWN = """
    SELECT (task, hash) IN (SELECT task, prompt_hash FROM answers), task, hash, question, question, reader FROM prompts
    ORDER BY rowid"""
_PLANS = """
    SELECT plan FROM plans WHERE id IN (
        SELECT plan FROM runs
        WHERE finished IS NOT NULL OR id IN (SELECT run FROM answers UNION SELECT run FROM sources WHERE finished))
    ORDER BY id"""
_UNKNOWN = """
    SELECT answers.task, prompt_hash FROM answers
    LEFT JOIN prompts ON prompts.task = answers.task AND prompts.hash = prompt_hash
    WHERE hash IS NULL GROUP BY 1, 2 ORDER BY MIN(answers.id)"""
_TRANSLATED = "SELECT DISTINCT task, prompt_hash, language FROM translations JOIN answers ON id = answer ORDER BY 3"


@dataclass(slots=True, eq=False)
class Topic:
    """A task, or one question of a task that takes the user's own."""

    key: str
    """Of its answer in a record: the task's name, with a number where the task was asked several questions."""
    task: str
    question: str | None
    readers: list[str] = field(default_factory=list)
    """How answers to its prompts are read: names of `client.tasks.answers.READERS`."""
    languages: list[str] = field(default_factory=list)
    """That its answers were to be translated into, or are, in the order in which they came up."""

    @property
    def label(self) -> str:
        """What it is in messages: its question, or its key."""
        return label_of(self.task, self.question) if self.question else self.key


class Topics:
    """The topics of a folder: what was answered, or failed, in the order in which it was first asked."""

    def __init__(self) -> None:
        """Begin with none."""
        self.all: list[Topic] = []
        self.languages: list[str] = []
        """Of all topics, in the order in which they came up."""
        self._by_request: dict[tuple[str, ...], tuple[Topic, str]] = {}

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """What one run asks: exactly its prompts, models and parameters, under its own keys."""
        topics, by_key = cls(), dict[str, Topic]()
        for requests in plan.requests.values():
            for request in requests:
                if request.key not in by_key:
                    by_key[request.key] = Topic(request.key, request.task, request.question)
                    topics.all.append(by_key[request.key])
                topics._add(by_key[request.key], request.answer, *request.identity)
                topics._want(by_key[request.key], plan.languages)
        return topics

    @classmethod
    def of_ledger(cls, connection: sqlite3.Connection) -> Self:
        """What all runs together asked.

        Raises:
            sqlite3.Error: the ledger cannot be read.
        """
        known = connection.execute(_KNOWN).fetchall()
        readers = {task: reader for _, task, *_, reader in reversed(known)}
        takes_questions = {ASK, *(task for _, task, _, question, *_ in known if question is not None)}
        # Of ledgers from before version 6 some texts are lost. They were asked before all that came since: nothing
        # that is asked later may change their numbers. Each such prompt may have been a question of its own.
        lost = [
            (task, prompt_hash, prompt_hash if task in takes_questions else None, None, readers.get(task, TEXT))
            for task, prompt_hash in connection.execute(_UNKNOWN)
        ]
        # A question's place is that of its first prompt, of whatever kind of file, and whether or not that was asked.
        names = list(dict.fromkeys((task, name) for _, task, _, name, *_ in known))
        asked = [prompt for was_asked, *prompt in known if was_asked]
        asked.sort(key=lambda prompt: names.index((prompt[0], prompt[2])))
        topics, by_name = cls(), dict[tuple[str, str | None], Topic]()
        for task, prompt_hash, name, question, reader in (*lost, *asked):
            if (task, name) not in by_name:
                by_name[task, name] = Topic(task, task, question)
                topics.all.append(by_name[task, name])
            topics._add(by_name[task, name], reader, task, prompt_hash)
        topics._number()
        for (plan,) in connection.execute(_PLANS):
            languages, requests = _read_plan(json.loads(plan))
            topics._want_all(requests, languages)
        return topics

    def add_translated(self, connection: sqlite3.Connection) -> None:
        """Add the languages of translations that no plan tells of any more: it was of a ledger from before version 6.

        Raises:
            sqlite3.Error: the ledger cannot be read.
        """
        for task, prompt_hash, language in connection.execute(_TRANSLATED):
            self._want_all([(task, prompt_hash)], [language])

    def find(self, task: str, prompt_hash: str, model: str, params: str) -> tuple[Topic, str] | None:
        """The topic of an answer and the name of the reader of its prompt; None if it is not to be shown."""
        found = self._by_request.get((task, prompt_hash))
        return found or self._by_request.get((task, prompt_hash, model, params))

    def _add(self, topic: Topic, reader: str, *request: str) -> None:
        self._by_request[request] = (topic, reader)
        topic.readers += [reader] if reader not in topic.readers else []

    def _want(self, topic: Topic, languages: Iterable[str]) -> None:
        for language in languages:
            topic.languages += [language] if language not in topic.languages else []
            self.languages += [language] if language not in self.languages else []

    def _want_all(self, requests: Iterable[tuple[str, str]], languages: list[str]) -> None:
        for request in requests:
            if found := self._by_request.get(request):
                self._want(found[0], languages)

    def _number(self) -> None:
        """Give each of several topics of one task a key of its own."""
        names = {topic.task for topic in self.all}
        for name in names:
            same = [topic for topic in self.all if topic.task == name]
            for number, topic in enumerate(same, 1) if len(same) > 1 else ():
                topic.key = f"{name}-{number}"
                while topic.key in names:  # a task that is called so
                    topic.key += "_"


def _read_plan(plan: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    """The languages of a plan and its (task, prompt hash) pairs; versions differ in what else it holds."""
    requests = [request for some in plan.get("requests", {}).values() for request in some]
    return plan.get("languages", []), [(request["task"], request["prompt_hash"]) for request in requests]
