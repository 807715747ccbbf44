"""Asks the served vision models: OpenAI chat completions, media first."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from openai import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAioHttpClient,
)

from client.waiting import FailedError, Service, UnavailableError, failure, read_retry_after

if TYPE_CHECKING:
    from client.media.kinds import Kind
    from client.plan import Request
    from client.waiting import Notify

_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said; `seconds` from sending to the last byte, of the attempt that succeeded."""

    text: str
    finish_reason: str
    prompt_tokens: int
    generated_tokens: int
    seconds: float


class ModelClient:
    """The OpenAI endpoint."""

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        *,
        deadline: float,
        wait: float,
        notify: Notify,
        stop: asyncio.Event,
    ) -> None:
        """`deadline` of one attempt and `wait` for a server that is away, in seconds."""
        self._endpoint, self._deadline = endpoint, deadline
        self._wait, self._notify, self._stop = wait, notify, stop
        # Sent through aiohttp and encoded by orjson, a request costs a third of the SDK's own way
        # (1.5 against 4.5 ms of CPU with a body of 300 kB).
        self._client = AsyncOpenAI(
            base_url=endpoint,
            api_key=api_key,
            max_retries=0,
            timeout=deadline,
            http_client=DefaultAioHttpClient(),
        )
        self._services: dict[str, Service] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, request: Request, kind: Kind, media: str) -> Answer:
        """Ask one question about a file whose data URL is `media`.

        Raises:
            RequestError: no answer; see there.
            ServiceLostError: the server is gone.
            StoppedError: the run was stopped.
        """
        body = orjson.dumps(
            {
                "model": request.model,
                # Media first, and the same bytes for each task, so that the server's caches can serve them.
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": f"{kind}_url", f"{kind}_url": {"url": media}},
                            {"type": "text", "text": request.prompt},
                        ],
                    }
                ],
                "temperature": request.temperature,
                "max_tokens": request.max_tokens,
            }
        )
        return await self._service(request.model).call(lambda: self._attempt(body))

    def _service(self, model: str) -> Service:
        """Models are waited for one by one: behind one endpoint one may be there and another not."""
        if model not in self._services:
            self._services[model] = Service(
                f"model {model} at {self._endpoint}", wait=self._wait, notify=self._notify, stop=self._stop
            )
        return self._services[model]

    async def _attempt(self, body: bytes) -> Answer:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline):
                completion: Any = await self._client.post(
                    "/chat/completions", cast_to=object, content=body, options={"headers": _HEADERS}
                )
        except (APITimeoutError, TimeoutError) as error:
            if _never_connected(error):
                raise UnavailableError("cannot be reached") from error
            raise FailedError(f"no answer within {self._deadline:.0f} s") from error
        except APIConnectionError as error:
            if _never_connected(error):
                raise UnavailableError("cannot be reached") from error
            raise FailedError("the connection broke") from error
        except APIStatusError as error:
            retry_after = read_retry_after(error.response.headers.get("retry-after"))
            raise failure(error.status_code, _message(error), retry_after) from error
        except (APIResponseValidationError, ValueError) as error:
            raise FailedError("the answer is not readable") from error
        return _read(completion, time.perf_counter() - began)


def _read(completion: Any, seconds: float) -> Answer:
    # Plain JSON, or text where it is none: the SDK's types would be built without being checked.
    try:
        choice = completion["choices"][0]
        text, finish_reason = choice["message"]["content"], choice["finish_reason"]
        usage = completion.get("usage") or {}
        prompt_tokens = int(usage.get("prompt_tokens") or 0)
        generated_tokens = int(usage.get("completion_tokens") or 0)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FailedError("the answer is not a chat completion") from error
    if not isinstance(text, str):
        raise FailedError("the answer holds no text")
    return Answer(
        text=text.strip(),
        finish_reason=str(finish_reason),
        prompt_tokens=prompt_tokens,
        generated_tokens=generated_tokens,
        seconds=seconds,
    )


def _never_connected(error: BaseException) -> bool:
    """Whether the request failed before anything was sent: told by the transport's error below the SDK's."""
    below: BaseException | None = error
    while below is not None:
        if type(below).__name__ in ("ConnectError", "ConnectTimeout"):
            return True
        below = below.__cause__ or below.__context__
    return False


def _message(error: APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        text = inner.get("message") if isinstance(inner, dict) else inner
        if text:
            return str(text)[:500]
    return (error.response.text or error.response.reason_phrase)[:500]
