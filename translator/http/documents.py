"""Texts of a format: what of them is translated, and the format put together again in another language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

from translator.errors import ApiError, SubtitleError
from translator.text.marked import Marked
from translator.text.markup import Page
from translator.text.scripts import script_of
from translator.text.subtitles import Subtitles

if TYPE_CHECKING:
    from collections.abc import Sequence

Format = Literal["text", "html", "vtt", "srt"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Document:
    """A text of a request, in its format."""

    def __init__(self, source: str, form: Format) -> None:
        """Take a text apart.

        Raises:
            SubtitleError: it is no subtitle file.
        """
        self._page = Page(source) if form == "html" else None
        self._subtitles = Subtitles(source, form) if form in ("vtt", "srt") else None
        self.parts: list[Marked] = [Marked(source)]
        """What is translated, in order."""
        if self._page:
            self.parts = self._page.texts
        elif self._subtitles:
            self.parts = [self._subtitles.text]
        self.plain = " ".join(part.text for part in self.parts)
        """Its words, by which its language is found."""

    def with_parts(self, said: Sequence[str], language: str) -> str:
        """The document with translations of its parts, into the language of a FLORES code."""
        if self._page:
            return self._page.with_texts(list(said))
        if self._subtitles:
            return self._subtitles.with_text(said[0], script_of(language))
        return said[0]


def form_of(name: str, known: Sequence[Format] = FORMATS) -> Format:
    """The format that a request names.

    Raises:
        ApiError: 400, there is none of that name.
    """
    if name not in known:
        choice = f"{', '.join(known[:-1])} or {known[-1]}"
        raise ApiError(400, f"{name[:40]!r} format is not supported: it must be {choice}", param="format")
    return cast("Format", name)


def read_documents(texts: Sequence[str], form: Format) -> list[Document]:
    """The texts of a request, taken apart.

    Raises:
        ApiError: 400, one is not of the format; the message names it.
    """
    documents: list[Document] = []
    for number, text in enumerate(texts):
        try:
            documents.append(Document(text, form))
        except SubtitleError as error:
            raise ApiError(400, f"text {number}: {error}", param="texts", code="bad_subtitles") from error
    return documents
