"""Text with tags in it: what HTML and subtitles are once their texts are taken out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from translator.text.wrapped import Layout

Kind = Literal["open", "close", "point"]


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag between two characters of a text."""

    at: int
    """The index of the character that it stands before."""
    source: str
    """As it is written."""
    name: str = ""
    """The element; an opening and a closing tag of one name may be a pair."""
    kind: Kind = "point"


def as_it_is(text: str) -> str:
    """The text itself: what needs no escaping."""
    return text


@dataclass(frozen=True)
class Marked:
    """A text to translate, the tags in it, and how it is written in its format."""

    text: str
    tags: Sequence[Tag] = ()
    """In the order of the source."""
    spelled: Sequence[str] | None = None
    """How each character is written in the source ("&amp;", "<br>"); None: as it is."""
    escape: Callable[[str], str] = as_it_is
    """Writes translated text in the format."""
    layout: Layout = "text"
    """What its lines are."""
    partners: dict[int, int] = field(init=False, repr=False, compare=False)
    """Pairs of an opening and a closing tag, by their indices in `tags`, both ways."""

    def __post_init__(self) -> None:
        """Find the pairs: a closing tag belongs to the last open one of its name."""
        pairs: dict[int, int] = {}
        waiting: dict[str, list[int]] = {}
        for number, tag in enumerate(self.tags):
            if tag.kind == "open":
                waiting.setdefault(tag.name, []).append(number)
            elif tag.kind == "close" and (opened := waiting.get(tag.name)):
                first = opened.pop()
                pairs |= {first: number, number: first}
        object.__setattr__(self, "partners", pairs)

    def __len__(self) -> int:
        """The characters of its text."""
        return len(self.text)

    def written(self, start: int, end: int) -> str:
        """A part of the text as the source has it, tags aside."""
        return self.text[start:end] if self.spelled is None else "".join(self.spelled[start:end])

    def inside(self, start: int, end: int) -> list[int]:
        """The indices of the tags that belong into the sentence from `start` to `end`: not those around it."""
        return [number for number in range(*self._near(start, end)) if self._is_inside(number, start, end)]

    def _near(self, start: int, end: int) -> tuple[int, int]:
        return bisect_left(self.tags, start, key=_at), bisect_right(self.tags, end, key=_at)

    def _is_inside(self, number: int, start: int, end: int) -> bool:
        tag = self.tags[number]
        if start < tag.at < end:
            return True
        if (partner := self.partners.get(number)) is None:
            return False
        first, last = sorted((tag.at, self.tags[partner].at))
        return start <= first < last <= end and (first, last) != (start, end)


def _at(tag: Tag) -> int:
    return tag.at
