"""Has answers translated by the translation service, all texts of a file and all languages in one call."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from client.endpoints.http import JsonServer
from client.endpoints.keys import TRANSLATOR_KEY
from client.endpoints.language_names import check_languages
from client.endpoints.retry import RetryPolicy
from client.errors import (
    AttemptError,
    AuthError,
    FailedError,
    LanguageError,
    NotJsonError,
    RefusedError,
    RequestError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.endpoints.retry import Notify

SOURCE = "eng_Latn"
DOUBTFUL = "doubtful"
CHECK_S = 10.0
_SHOWN_LANGUAGES = 40


@dataclass(frozen=True, slots=True)
class Translated:
    """A text in another language."""

    text: str
    verdicts: Counter[str]
    """How many of its sentences are `ok`, `retried`, `doubtful`."""
    doubts: list[str]
    """The service's reasons to mistrust sentences."""


class TranslatorClient:
    """The translation service."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        deadline_s: float,
        wait_s: float,
        notify: Notify,
        stop: asyncio.Event,
        glossary: Sequence[Any] = (),
    ) -> None:
        """`deadline_s` of one attempt and `wait_s` for a service that is away, in seconds.

        `glossary` holds terms as the service's field `keep` has them (see `client.endpoints.glossary`).
        """
        self._url, self._deadline_s = url, deadline_s
        self._more = {"keep": list(glossary)} if glossary else {}
        self._server = JsonServer(url, deadline_s=deadline_s, api_key=api_key, key_variable=TRANSLATOR_KEY)
        self._retry = RetryPolicy(f"translator at {url}", wait_s=wait_s, notify=notify, stop=stop)
        self._checking = asyncio.Lock()
        self._checked = False
        self._known: set[str] | None = None
        """The codes that the service lists; None where it was away when it was asked."""

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def check(self, languages: tuple[str, ...]) -> None:
        """Make sure, once, that the service translates into `languages`, if it is there.

        One that is away is not waited for: it may be there when there is something to translate. Until then
        what cannot be a language's code is refused. What answers, but with no list of languages, is none.

        Raises:
            LanguageError: it does not.
            UsageError: there is no translation service at that address, or it refuses the glossary.
        """
        async with self._checking:
            if not self._checked:
                self._known = await self._list()
                if self._known is not None and self._more:
                    await self._try_glossary(sorted(self._known)[:1])
                self._checked = True
        try:
            check_languages(languages, self._known)
        except LanguageError as error:
            if self._known is None:
                raise
            some = sorted(self._known)[:_SHOWN_LANGUAGES]
            more = ", ..." if len(self._known) > len(some) else ""
            raise LanguageError(f"{error}; the translator knows: {', '.join(some)}{more}") from None

    async def _list(self) -> set[str] | None:
        """The codes that the service knows; None if it is away.

        Raises:
            UsageError: there is no translation service at the address.
        """
        try:
            listed = await self._server.get("/languages", deadline_s=min(self._deadline_s, CHECK_S))
        except (RequestError, AuthError, NotJsonError) as error:
            raise self._no_service(str(error)) from error
        except (UnavailableError, FailedError):
            return None
        if not (known := _codes(listed)):
            raise self._no_service("it lists no languages")
        return known

    async def _try_glossary(self, languages: list[str]) -> None:
        """Have no text translated with the glossary: each request with a bad one would fail, after all questions.

        Raises:
            UsageError: the service refuses it.
        """
        body = orjson.dumps({"texts": [], "source": SOURCE, "targets": languages, **self._more})
        try:
            await self._server.post("/v1/translations", body)
        except RefusedError as error:
            raise UsageError(f"--glossary: the translator refuses it ({error})") from error
        except (AttemptError, RequestError):
            return  # which the first translation will meet too

    def _no_service(self, why: str) -> UsageError:
        return UsageError(f"--translator {self._url}: no translation service there ({why})")

    async def translate(
        self, texts: list[str], languages: list[str], label: str, source: str = SOURCE
    ) -> list[dict[str, Translated]]:
        """Translate each of `texts`, all in `source`, into each of `languages`; one dictionary a text, by language.

        Raises:
            RequestError: it failed.
            ServiceLostError: the service is gone.
            StoppedError: the run was stopped.
        """
        body = orjson.dumps({"texts": texts, "source": source, "targets": languages, **self._more})

        async def attempt() -> list[dict[str, Translated]]:
            return _read(await self._server.post("/v1/translations", body), texts, languages)

        return await self._retry.call(attempt, f"{label} translation")


def _codes(listed: Any) -> set[str]:
    """Language codes of a `/languages` answer in LibreTranslate's form, and the `flores` of our own service."""
    codes: set[str] = set()
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            targets = entry.get("targets")
            named = (entry.get("code"), entry.get("flores"), *(targets if isinstance(targets, list) else []))
            codes.update(code for code in named if isinstance(code, str) and code)
    return codes


def _read(answer: Any, texts: list[str], languages: list[str]) -> list[dict[str, Translated]]:
    try:
        rows = [{language: _translated(row[language]) for language in languages} for row in answer["translations"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise FailedError("the answer holds no translations") from error
    if len(rows) != len(texts):
        raise FailedError(f"{len(rows)} translations came for {len(texts)} texts")
    return rows


def _translated(entry: dict[str, Any]) -> Translated:
    text, sentences = entry["text"], entry.get("sentences", [])
    if not isinstance(text, str):
        raise TypeError(text)
    return Translated(
        text,
        Counter(str(sentence["verdict"]) for sentence in sentences),
        [str(sentence.get("reason")) for sentence in sentences if sentence["verdict"] == DOUBTFUL],
    )
