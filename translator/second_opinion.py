"""A second engine for sentences that stay doubtful: a language model behind an OpenAI-compatible endpoint.

It is asked to translate that one sentence, with the glossary's terms; its answer is checked as any other, and kept if
the checks like it better (see `checks.review`). A model that is away, slow or full changes nothing: the sentence
stays as it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import aiohttp
from cachetools import LRUCache

from translator.languages import known
from translator.model.job import Translation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.model.job import Job

logger = logging.getLogger(__name__)

_AT_ONCE = 4
"""Sentences that are asked about at the same time, of all requests."""
_MOST = 100
"""Sentences of one request that are asked about; further ones stay as they are."""
_DEADLINE_S = 45.0
"""For all sentences of a request together; those that were not answered by then stay as they are."""
_CONNECT_S = 5.0
_PAUSE_S = 30.0
"""For so long an endpoint that failed is left in peace."""
_KEPT = 1000
_MOST_BYTES = 1 << 20
_ASK = (
    "Translate the sentence below from {source} into {target}. Answer with the translation alone, on one line, "
    "without quotation marks around it, without notes. Keep numbers, names, addresses and placeholders as they are."
)
_TERMS = " Write these terms exactly so: {terms}."
_QUOTES = re.compile(r"^[\"“„«「『](.*)[\"”“»」』]$")


class SecondOpinion:
    """Asks a language model for translations."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        """Ask `model` at `url`, an endpoint's base such as http://127.0.0.1:8000/v1; `key` is its API key, if any."""
        self.name = model
        self._url = url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._said: LRUCache[Job, str] = LRUCache(_KEPT)
        self._silent_until_s = 0.0

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def translate(self, jobs: Sequence[Job]) -> dict[Job, Translation]:
        """What the model makes of sentences; those that it does not answer in time are missing."""
        asked = {job: asyncio.create_task(self._ask(job)) for job in list(jobs)[:_MOST]}
        if not asked:
            return {}
        try:
            answered, late = await asyncio.wait(asked.values(), timeout=_DEADLINE_S)
        finally:
            for task in asked.values():
                task.cancel()
        if late:
            logger.warning("no second opinion from %s in time on %d of %d sentences", self._url, len(late), len(asked))
        if not answered:
            self._silent_until_s = asyncio.get_running_loop().time() + _PAUSE_S
        said = {job: task.result() for job, task in asked.items() if task in answered}
        return {job: Translation(text, by=self.name) for job, text in said.items() if text}

    async def _ask(self, job: Job) -> str | None:
        if job in self._said:
            return self._said[job]
        async with self._slots:
            if asyncio.get_running_loop().time() < self._silent_until_s:
                return None
            try:
                answer = await self._post(request(job, self.name))
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
                logger.warning("no second opinion from %s: %s", self._url, str(error) or type(error).__name__)
                self._silent_until_s = asyncio.get_running_loop().time() + _PAUSE_S
                return None
        self._said[job] = read(answer, job.text)
        return self._said[job]

    async def _post(self, question: dict[str, Any]) -> str:
        """The text of the endpoint's answer.

        Raises:
            aiohttp.ClientError, TimeoutError: it does not answer, or with an error.
            ValueError, LookupError, TypeError: the answer is no chat completion.
        """
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        async with self._session.post(self._url, json=question, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"HTTP {response.status}")
            body = bytearray()
            async for block in response.content.iter_any():
                body += block
                if len(body) > _MOST_BYTES:
                    raise ValueError("the answer is too large")
        answer = json.loads(body)
        return str(answer["choices"][0]["message"]["content"] or "")


def request(job: Job, model: str) -> dict[str, Any]:
    """The chat completion that asks for a sentence's translation."""
    languages = known()
    ask = _ASK.format(source=languages[job.source].name, target=languages[job.target].name)
    if job.terms:
        terms = dict.fromkeys(f"{term.source} → {term.target}" for term in job.terms)
        ask += _TERMS.format(terms="; ".join(terms))
    return {
        "model": model,
        "messages": [{"role": "user", "content": f"{ask}\n\n{job.text}"}],
        "temperature": 0,
        "max_tokens": 64 + 4 * len(job.tokens),
    }


def read(answer: str, source: str) -> str:
    """The translation in an answer: its first line, without quotation marks that the source does not have."""
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    text = lines[0] if lines else ""
    quoted = _QUOTES.match(text)
    return quoted[1].strip() if quoted and not _QUOTES.match(source) else text
