"""Questions and tasks about the files of `babelview ask`, answered on the terminal or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from client.cli.said import note_verdict, show, show_record, show_translations, text_of
from client.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from client.api.babelview import Babelview
    from client.api.options import Options
    from client.endpoints.completion import Answer


class Said(NamedTuple):
    """A question or task, and what was answered."""

    asked: str
    at_s: float | None
    """The moment of the video that it is about; None: all of it."""
    text: str
    verdict: str
    reasons: tuple[str, ...]


class Talk:
    """A conversation about files: what streams goes through it, other tasks are asked beside it."""

    def __init__(self, babelview: Babelview, files: list[str], options: Options) -> None:
        """Nothing is read before the first question."""
        self._babelview, self.files, self._options = babelview, files, options
        self.said: list[Said] = []
        """All that was said."""
        self._at_s: float | None = None
        # Questions are about whole files, whatever the windows of tasks over time are.
        about_whole: Options = {**options, "tasks": [], "questions": [], "window": None}
        self._conversation = babelview.chat(files, **about_whole)

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            UsageError: the translator, if it is there, does not know a language.
        """
        if languages := self._options.get("languages"):
            await self._babelview.check_languages(languages)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was fetched."""
        await self._conversation.close()

    async def look_at(self, at_s: float | None) -> None:
        """Look at a moment of the video; None: at all of it again.

        Raises:
            BabelviewError: there is no such moment.
        """
        if at_s is not None:
            await self._conversation.check_moment(at_s)
        self._conversation.look_at(at_s)
        self._at_s = at_s

    async def answer(self, question: str | None, task: str | None = None) -> bool:
        """Show the answer to a question or a task, as it comes where it can; whether there is one.

        Raises:
            BabelviewError: there is none, or it cannot be translated.
        """
        if task and not await self._conversation.streams(task):
            record = await self._asked_beside(task)
            show_record(record)
            self.said += [
                Said(key, None, text_of(key, answer), answer["verdict"], tuple(answer.get("reasons", ())))
                for key, answer in record["tasks"].items()
            ]
            return record["error"] is None
        reply = self._conversation.ask(question, task=task)
        begun = False
        try:
            async for piece in reply:
                begun = True
                show(piece, end="")
        finally:
            if begun:
                show("")
        if answer := reply.answer:
            self.said.append(Said(question or task or "", self._at_s, answer.text, answer.verdict, answer.reasons))
            note_verdict(answer)
            show_translations(await self._translated(answer))
        return True

    async def record(self, question: str | None, task: str | None) -> dict[str, Any]:
        """The record of a single file; of several pictures what was asked about them together, and the answer.

        Raises:
            BabelviewError: there is no answer, or it cannot be translated.
        """
        if len(self.files) == 1:
            return await self._babelview.caption(self.files[0], **self._options)
        answer = await self._conversation.ask(question, task=task)
        asked = {"question": question} if question else {"task": task}
        reasons = {"reasons": list(answer.reasons)} if answer.reasons else {}
        said = {
            "text": answer.text,
            "verdict": answer.verdict,
            **reasons,
            "translations": await self._translated(answer),
        }
        return {"files": self.files, **asked, **said, "error": None}

    async def _asked_beside(self, task: str) -> dict[str, Any]:
        if len(self.files) > 1:
            raise UsageError(f"{task} is about one file: several are asked a question together")
        options: Options = {**self._options, "tasks": [task], "questions": []}
        return await self._babelview.caption(self.files[0], **options)

    async def _translated(self, answer: Answer) -> dict[str, str]:
        """The answer in the languages that were asked for."""
        if not (languages := self._options.get("languages")) or not answer.text:
            return {}
        (row,) = await self._babelview.translate([answer.text], languages)
        return {language: translated.text for language, translated in row.items()}
