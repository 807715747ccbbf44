"""JSON that ends in time: what an answer with a JSON schema still has to write, and which tokens leave room for it.

A grammar says which token may come next, and that is all: a model that does not close a string writes until its tokens
are used up, and what it leaves is no JSON. So a short way to the end is looked for as the text grows (`Closing`). As
soon as the tokens that are left are as many as that way has, it is taken. Before that, where one token could make the
way longer than what is left, only tokens are left to choose from that do not (`Budget`).
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from server.engines.json_least import largest_least

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LONGEST_WAY = 1024
"""Bytes after which a way to the end is given up: nothing finite fits the schema, or a pattern leads nowhere."""
PAUSE = 16
"""Tokens after which a way is looked for again where none was found; twice as many each time."""
LONGEST_NUMBER = 24
"""Characters of a number; JSON itself has no limit, and readers of it have."""
SPARE = 3
"""Tokens kept over: a character in UTF-8 that was begun has up to three bytes more."""
GROWTH = 8
"""By how many tokens one token is expected to lengthen the way where the schema itself does not say: brackets."""
FEW = 64
"""In a string, so few tokens are the words of a choice; more are free text."""
CHOICE = 48
"""By how many tokens a string that is a choice, or has a format, is expected to lengthen the way."""
LOOKED_AT = 8
"""Bytes that are tried for whether a string may end after them."""
OUTSIDE = b'}],:"0ntf[{-123456789.eE+'
"""What is tried outside of strings, in this order: what closes first, then what is short."""
INSIDE = b"@.:/-_ +" + string.digits.encode() + string.ascii_letters.encode() + bytes(range(0x80, 0xC0))
"""What is tried in strings that may not end yet: separators first, since formats wait for them."""
NUMBER = frozenset(b"0123456789.eE+-")


class Matcher(Protocol):
    """What is needed of `llguidance.LLMatcher`."""

    def deep_copy(self) -> Matcher: ...
    def is_accepting(self) -> bool: ...
    def compute_ff_bytes(self) -> bytes: ...
    def consume_tokens(self, tokens: list[int]) -> bool: ...
    def validate_tokens(self, tokens: list[int]) -> int: ...


class Vocabulary:
    """The tokens of a model as bytes, and sets of them as bit masks.

    A mask is int32 [words], as vLLM has it: token t is bit t % 32 of word t // 32.
    """

    def __init__(self, texts: Iterable[bytes | None], ends: Iterable[int] = ()) -> None:
        """`texts`: the bytes of each token, in order, None for special ones; `ends`: tokens that end an answer."""
        self.texts = tuple(texts)
        self.ids: dict[bytes, int] = {}
        for token, text in enumerate(self.texts):
            if text:
                self.ids.setdefault(text, token)
        self.longest = max(map(len, self.ids), default=0)
        self.plain = self._mask(lambda text: not any(byte < 0x20 or byte in b'"\\' for byte in text))
        """Tokens that leave a string open, whatever they add to it."""
        self.quote = self.mask_of([self.ids[b'"']] if b'"' in self.ids else [])
        """The token that closes a string."""
        self.ends = self.mask_of(ends)
        """Tokens that end an answer."""
        self.no_number = self._mask(lambda text: text[0] not in NUMBER) | self.ends
        """Tokens that end a number."""

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """The vocabulary of an `llguidance.LLTokenizer`."""
        special = tokenizer.is_special_token
        texts = (None if special(token) else tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size))
        return cls(texts, tokenizer.eos_tokens)

    def _mask(self, wanted: Any) -> NDArray[np.int32]:
        return self.mask_of(token for token, text in enumerate(self.texts) if text and wanted(text))

    def mask_of(self, tokens: Iterable[int]) -> NDArray[np.int32]:
        """The bit mask of a set of tokens."""
        bits = np.zeros((len(self.texts) + 31) // 32 * 32, np.uint8)
        bits[list(tokens)] = 1
        return np.packbits(bits, bitorder="little").view(np.int32)

    def beginnings(self, text: bytes) -> list[int]:
        """The tokens that `text` begins with."""
        ends = range(1, min(len(text), self.longest) + 1)
        return [token for end in ends if (token := self.ids.get(text[:end])) is not None]

    def encode(self, text: bytes) -> list[int]:
        """Tokens that make up `text`: the longest that fits, again and again.

        Raises:
            KeyError: a byte has no token.
        """
        tokens: list[int] = []
        begin = 0
        while begin < len(text):
            for end in range(min(len(text), begin + self.longest), begin, -1):
                if (token := self.ids.get(text[begin:end])) is not None:
                    break
            else:
                raise KeyError(text[begin : begin + 1])
            tokens.append(token)
            begin = end
        return tokens


@dataclass(slots=True)
class JsonState:
    """Where in a JSON text its writer is; the text is known to follow its grammar."""

    in_string: bool = False
    escaped: bool = False
    run: int = 0
    """Bytes of the string or number that is being written."""
    commas: list[int] = field(default_factory=list)
    """For each open array or object, the outermost first: the commas in it so far."""
    objects: list[bool] = field(default_factory=list)
    """For each of them, whether it is an object."""
    in_name: bool = False
    """Whether the string is a name in an object, or what comes next in it is one."""

    def feed(self, text: bytes) -> None:
        """Go on by `text`."""
        for byte in text:
            if self.in_string:
                self.run += 1
                if self.escaped:
                    self.escaped = False
                elif byte == 0x5C:
                    self.escaped = True
                elif byte == 0x22:
                    self.in_string = False
                    self.run = 0
                continue
            self.run = self.run + 1 if byte in NUMBER else 0
            if byte == 0x22:
                self.in_string = True
            elif byte in b"[{":
                self.commas.append(0)
                self.objects.append(byte == 0x7B)
                self.in_name = byte == 0x7B
            elif byte in b"]}" and self.commas:
                self.commas.pop()
                self.objects.pop()
            elif byte == 0x2C and self.commas:
                self.commas[-1] += 1
                self.in_name = self.objects[-1]
            elif byte == 0x3A:
                self.in_name = False

    def copy(self) -> JsonState:
        """A copy that can go another way."""
        return JsonState(
            self.in_string, self.escaped, self.run, list(self.commas), list(self.objects), in_name=self.in_name
        )


class Closing:
    """Looks for the way to the end of a JSON text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._single = {byte: vocabulary.ids[bytes([byte])] for byte in range(256) if bytes([byte]) in vocabulary.ids}

    def way(self, matcher: Matcher, state: JsonState) -> list[int] | None:
        """Tokens that end the text, a short way if not always the shortest; None if none was found."""
        matcher, state = matcher.deep_copy(), state.copy()
        written = bytearray()
        while not matcher.is_accepting():
            step = matcher.compute_ff_bytes() or self._step(matcher, state)
            if not step or len(written) + len(step) > LONGEST_WAY:  # a schema may prescribe a text of any length
                return None
            try:
                tokens = self._vocabulary.encode(step)
            except KeyError:
                return None
            if not matcher.consume_tokens(tokens):
                return None
            state.feed(step)
            written += step
        return self._vocabulary.encode(bytes(written))

    def single(self, byte: int) -> int | None:
        """The token that is this one byte."""
        return self._single.get(byte)

    def _step(self, matcher: Matcher, state: JsonState) -> bytes:
        """The next byte, of several that are possible."""
        if not state.in_string:
            return self._first(matcher, OUTSIDE)
        quote = self._single[0x22]
        if not state.escaped and matcher.validate_tokens([quote]):
            return b'"'
        first, looked_at = b"", 0
        for byte in INSIDE:
            token = self._single.get(byte)
            fitting = 0 if token is None else matcher.validate_tokens([token, quote])
            if fitting == 2 or (fitting and state.escaped):
                return bytes([byte])
            if fitting:
                first, looked_at = first or bytes([byte]), looked_at + 1
            if looked_at == LOOKED_AT:
                break
        return first

    def _first(self, matcher: Matcher, wanted: bytes) -> bytes:
        return next((bytes([byte]) for byte in wanted if self._fits(matcher, byte)), b"")

    def _fits(self, matcher: Matcher, byte: int) -> bool:
        token = self._single.get(byte)
        return token is not None and matcher.validate_tokens([token]) == 1


class Budget:
    """The tokens of one answer, and what of them is needed to end it."""

    def __init__(self, closing: Closing, vocabulary: Vocabulary, tokens: int, schema: dict[str, Any]) -> None:
        """`tokens`: how many the answer may have, with the one that ends it. `schema`: what it follows."""
        self._closing = closing
        self._vocabulary = vocabulary
        self._tokens = tokens
        self._accepted: list[int] = []
        self._growth = max(largest_least(schema), CHOICE) + GROWTH
        self._failures = 0
        self._checked = 0
        """How many tokens there were when `way` was looked for."""
        self.state = JsonState()
        self.way: list[int] | None = None
        """What ends the text from where it was then; None: not known."""

    @property
    def left(self) -> int:
        """How many tokens may come yet."""
        return self._tokens - len(self._accepted)

    def accept(self, tokens: list[int], matcher: Matcher) -> None:
        """Go on by `tokens`, which the matcher has taken."""
        in_string = self.state.in_string
        for token in tokens:
            self._accepted.append(token)
            text = self._vocabulary.texts[token] if 0 <= token < len(self._vocabulary.texts) else None
            self.state.feed(text or b"")
        quote = self._closing.single(0x22)
        within = in_string and self.state.in_string and not self.state.escaped
        if not (within and self.way and self.way[0] == quote and matcher.validate_tokens([quote])):
            self.check(matcher)  # else a string has become longer, and ends as before

    def roll_back(self, count: int, matcher: Matcher) -> None:
        """Take the last `count` tokens back; the matcher has done so."""
        kept = self._accepted[: len(self._accepted) - count]
        self._forget()
        self.accept(kept, matcher)

    def reset(self, matcher: Matcher) -> None:
        """Begin anew; the matcher has done so."""
        self._forget()
        self.check(matcher)

    def _forget(self) -> None:
        self._accepted, self.state, self.way, self._checked, self._failures = [], JsonState(), None, 0, 0

    def check(self, matcher: Matcher) -> None:
        """Look for the way to the end, if what is left could have become too little for it."""
        known = 0 if self.way is None else len(self.way)
        since = len(self._accepted) - self._checked
        if self._failures and since < PAUSE << self._failures:
            return
        if self._checked and since * GROWTH < self.left - known - self._growth:
            return
        self.way = self._closing.way(matcher, self.state)
        self._checked = len(self._accepted)
        self._failures = 0 if self.way is not None else self._failures + 1

    def narrow(self, row: NDArray[np.int32], matcher: Matcher, longest_string: int, most_items: int) -> None:
        """Leave in `row`, the mask of what may come next, what keeps the answer within its bounds.

        Args:
            row: int32 [words], changed in place.
            matcher: Where the grammar is.
            longest_string: Bytes after which a string is closed.
            most_items: Commas after which an array or object is closed.
        """
        if self.way is None:
            self._bound(row, longest_string, most_items)
            return
        slack = self.left - 1 - len(self.way)  # one is for the token that ends the answer
        if slack <= SPARE:
            if self.way:
                self._only(row, self.way[0])
            else:
                self._keep(row, self._vocabulary.ends)
            return
        self._bound(row, longest_string, most_items)
        if slack > self._growth + SPARE:
            return
        if forced := matcher.compute_ff_bytes():
            # No further than that: a token that goes on could open what takes long to end.
            self._keep(row, self._vocabulary.mask_of(self._vocabulary.beginnings(forced)))
            return
        free = row[: len(self._vocabulary.plain)] & self._vocabulary.plain
        chosen = self.state.in_string and np.bitwise_count(free).sum() <= FEW
        if not self.state.in_string or (chosen and (self.state.in_name or slack <= CHOICE)):
            self._keep(row, self._vocabulary.mask_of(self._affordable(row, matcher)))
        else:
            self._keep(row, free | self._vocabulary.quote)

    def _affordable(self, row: NDArray[np.int32], matcher: Matcher) -> list[int]:
        """Single characters after which the way to the end is not too long."""
        found = []
        for byte in b'"' + INSIDE if self.state.in_string else OUTSIDE:
            token = self._closing.single(byte)
            if token is None or not _has(row, token):
                continue
            after, state = matcher.deep_copy(), self.state.copy()
            after.consume_tokens([token])
            state.feed(bytes([byte]))
            way = self._closing.way(after, state)
            if way is not None and len(way) + SPARE < self.left - 1:
                found.append(token)
        return found

    def _bound(self, row: NDArray[np.int32], longest_string: int, most_items: int) -> None:
        """End what is long enough."""
        state = self.state
        if state.in_string:
            if state.run >= longest_string and not state.escaped:
                self._only(row, self._closing.single(0x22))
            return
        if state.commas and state.commas[-1] >= most_items:
            for byte in b"]}":
                self._only(row, self._closing.single(byte))
        if state.run >= LONGEST_NUMBER:
            self._keep(row, self._vocabulary.no_number)

    def _only(self, row: NDArray[np.int32], token: int | None) -> None:
        if token is not None and _has(row, token):
            row[:] = 0
            row[token // 32] = np.uint32(1 << token % 32).view(np.int32)

    @staticmethod
    def _keep(row: NDArray[np.int32], mask: NDArray[np.int32]) -> None:
        narrowed = row[: len(mask)] & mask
        if narrowed.any():
            row[: len(mask)] = narrowed
            row[len(mask) :] = 0


def _has(row: NDArray[np.int32], token: int) -> bool:
    return token // 32 < len(row) and bool(row[token // 32] >> token % 32 & 1)
