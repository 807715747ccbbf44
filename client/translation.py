"""Has answers translated by the translation service, all texts of a file and all languages in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from client.errors import RequestError, UsageError
from client.waiting import FailedError, Service, UnavailableError, failure, read_retry_after

if TYPE_CHECKING:
    import asyncio

    from client.waiting import Notify

SOURCE = "eng_Latn"
_SHOWN_LANGUAGES = 40


@dataclass(frozen=True, slots=True)
class Translated:
    """A text in another language; `doubts` are the service's reasons to mistrust sentences of it."""

    text: str
    doubts: list[str]


class TranslatorClient:
    """The translation service."""

    def __init__(self, endpoint: str, *, deadline: float, wait: float, notify: Notify, stop: asyncio.Event) -> None:
        """`deadline` of one attempt and `wait` for a service that is away, in seconds."""
        self._endpoint = endpoint.rstrip("/")
        self._deadline = deadline
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=deadline))
        self._service = Service(f"translator at {endpoint}", wait=wait, notify=notify, stop=stop)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def check(self, languages: tuple[str, ...]) -> None:
        """Make sure that the service translates into `languages`.

        Raises:
            UsageError: it does not, or there is no translation service at that address.
            ServiceLostError: it is not there.
        """
        try:
            listed = await self._service.call(lambda: self._attempt("GET", "/languages"))
        except RequestError as error:
            raise UsageError(f"--translator {self._endpoint}: no translation service there ({error})") from error
        known = _codes(listed)
        if unknown := [language for language in languages if language not in known]:
            some = sorted(known)[:_SHOWN_LANGUAGES]
            more = ", ..." if len(known) > len(some) else ""
            raise UsageError(f"unknown language {', '.join(unknown)}; the translator knows: {', '.join(some)}{more}")

    async def translate(self, texts: list[str], languages: list[str]) -> list[dict[str, Translated]]:
        """Translate each of `texts` into each of `languages`; one dictionary a text, by language.

        Raises:
            RequestError: it failed.
            ServiceLostError: the service is gone.
            StoppedError: the run was stopped.
        """
        body = orjson.dumps({"texts": texts, "source": SOURCE, "targets": languages})

        async def attempt() -> list[dict[str, Translated]]:
            return _read(await self._attempt("POST", "/v1/translations", body), texts, languages)

        return await self._service.call(attempt)

    async def _attempt(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._session.request(method, self._endpoint + path, data=body, headers=headers) as response:
                content = await response.read()
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError("cannot be reached") from error
        except TimeoutError as error:
            raise FailedError(f"no answer within {self._deadline:.0f} s") from error
        except aiohttp.ClientError as error:
            raise FailedError("the connection broke") from error
        if response.status >= 400:
            retry_after = read_retry_after(response.headers.get("Retry-After"))
            raise failure(response.status, _message(content), retry_after)
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise FailedError("the answer is not readable") from error


def _codes(listed: Any) -> set[str]:
    """Language codes of a `/languages` answer in LibreTranslate's form: codes and the targets of each."""
    codes: set[str] = set()
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            codes.update(code for code in (entry.get("code"), *entry.get("targets", [])) if code)
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
    reasons = [sentence.get("reason") for sentence in entry.get("sentences", [])]
    return Translated(str(entry["text"]), [str(reason) for reason in reasons if reason])


def _message(content: bytes) -> str:
    try:
        error = orjson.loads(content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return content.decode(errors="replace")[:500]
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]
