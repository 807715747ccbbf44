"""Asks the served vision models: OpenAI chat completions, media first."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pybase64

from client.endpoints.completion import Pieces, read_completion
from client.endpoints.http import JsonServer
from client.endpoints.keys import API_KEY, OPENAI_KEY
from client.endpoints.model_names import is_listed_as
from client.endpoints.request_body import PART, request_body
from client.endpoints.retry import RetryPolicy
from client.errors import (
    AttemptError,
    AuthError,
    FailedError,
    NoAnswerError,
    RefusedError,
    RequestError,
    UnavailableError,
    UsageError,
)
from client.media.kinds import Kind
from client.tasks.schemas import is_structured, sent_schema

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from client.endpoints.completion import Answer
    from client.endpoints.retry import Notify
    from client.media.content import Content
    from client.tasks.plan import Request, Turn

T = TypeVar("T")

OF_VLLM = frozenset({"vllm", "babelview"})
"""`owned_by` of the models of endpoints that take vLLM's `video_url`: vLLM, and our gateway before it."""
CHECK_S = 10.0
_LIMIT, _LIMIT_OF_NEWER_MODELS = "max_tokens", "max_completion_tokens"
_SHOWN_MODELS = 20
_NO_SUCH_PATH = (404, 405, 501)
_NO_SCHEMA = re.compile(r"response_format|json_schema|structured|guided", re.IGNORECASE)
"""In the refusal of an endpoint that takes no JSON schema."""
TOO_LONG = re.compile(r"context|too long|longer than", re.IGNORECASE)
"""In the refusal of a request that does not fit into a model's context."""
_UNKNOWN_MODEL = re.compile(
    r"^HTTP 404|model.{0,80}(?:not exist|not found|unknown|invalid|not a valid)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class OtherTry:
    """How a question is asked once more, where the answer was none."""

    seed: int
    temperature: float
    frequency_penalty: float
    """As OpenAI has it; not sent where it is 0."""


class ModelClient:
    """The OpenAI endpoint."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        frames_as: str = "auto",
        deadline_s: float,
        wait_s: float,
        notify: Notify,
        stop: asyncio.Event,
    ) -> None:
        """`deadline_s` of one attempt and `wait_s` for a server that is away, in seconds.

        `frames_as` says how a video is sent: as `video`, as `images`, or `auto`: as the endpoint wants it.
        """
        self._frames_as, self._deadline_s = frames_as, deadline_s
        self._wait_s, self._notify, self._stop = wait_s, notify, stop
        # Not the OpenAI SDK: with its checks, types and layers a request costs several times the CPU.
        self._server = JsonServer(
            base_url, deadline_s=deadline_s, api_key=api_key, key_variable=f"{API_KEY}, or else {OPENAI_KEY},"
        )
        self.base_url = self._server.url
        self._retries: dict[str, RetryPolicy] = {}
        self.leaves: Callable[[str, UnavailableError], bool] | None = None
        """Whether a request for a model that is not taken goes elsewhere, as `RetryPolicy` asks; "": for none."""
        self._checking = asyncio.Lock()
        self._checked = False
        self._listed: dict[str, dict[str, Any]] | None = None
        """Models that the endpoint lists -> what it says of each; None where it lists none."""
        self._unlisted: set[str] = set()
        self._limits: dict[str, str] = {}
        self._unstructured: set[str] = set()
        """Models that take no JSON schema: the answer is checked all the same."""
        self._uncounted: set[str] = set()
        """Models that take no `stream_options`, and so do not count the tokens of a stream."""

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def check(self, models: set[str]) -> None:
        """Look whether the endpoint lists `models`, once for each: what it does not list is warned about and tried.

        Raises:
            UsageError: it is no OpenAI endpoint.
            ServiceLostError: it is not there, or keeps us out.
            StoppedError: the run was stopped meanwhile.
        """
        await self.read_models()
        if unknown := self.unlisted(models):
            self._notify(
                f"warning: {self.base_url} does not list {', '.join(sorted(unknown))}, which is tried all the same; "
                f"{self.models_in_words()}"
            )

    async def read_models(self) -> None:
        """Read which models the endpoint lists, once; errors are those of `check`."""
        async with self._checking:
            if not self._checked:
                self._listed = await self._list()
                if self._listed is None:
                    await self._probe()
                self._checked = True

    def unlisted(self, models: set[str]) -> set[str]:
        """Those of `models` that the endpoint does not list, if it lists any, but for what was told before."""
        if self._listed is None:
            return set()
        unknown = models - self._unlisted - set(self._entries(models))
        self._unlisted |= unknown
        return unknown

    def _entries(self, models: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What the endpoint says of those of `models` that it lists, in whatever form."""
        listed = (self._listed or {}).items()
        found = ((model, [entry for name, entry in listed if is_listed_as(model, name)]) for model in models)
        return {model: (self._listed or {}).get(model) or entries[0] for model, entries in found if entries}

    def models_in_words(self) -> str:
        """What the endpoint lists, for a message: `it lists a, b`."""
        some = list(self._listed or ())[:_SHOWN_MODELS]
        more = ", ..." if len(self._listed or ()) > len(some) else ""
        return f"it lists {', '.join(some)}{more}"

    def context(self, model: str) -> int | None:
        """How many tokens a model takes, prompt and answer together; known after `check`, if at all."""
        told = self._entries([model]).get(model, {}).get("max_model_len")
        return told if isinstance(told, int) and told > 0 else None

    def check_media(self, model: str, kind: Kind, frames: int, *, pictures: int = 1) -> None:
        """Make sure that a model takes so many `pictures`, or `frames` of a video; known after `check`, if at all.

        Raises:
            UsageError: the endpoint says that it does not.
        """
        as_video = kind is Kind.VIDEO and self.takes_video
        most = self._entries([model]).get(model, {}).get("max_frames" if as_video else "max_images")
        sent = frames if kind is Kind.VIDEO else pictures
        if not isinstance(most, int) or sent <= most:
            return
        what = "videos" if as_video else "pictures"
        if most == 0:
            raise UsageError(f"{model} takes no {what} (--model, --{kind}-model, --frames-as)")
        if kind is not Kind.VIDEO:
            raise UsageError(f"{model} takes at most {most} pictures in a request, not {sent}")
        what = "frames of a video" if as_video else "pictures in a request, and frames are sent as such"
        raise UsageError(f"{model} takes at most {most} {what}, not {frames} (--frames, or --max-frames)")

    @property
    def lists_models(self) -> bool:
        """Whether the endpoint says what it serves; known after `check`."""
        return self._listed is not None

    def lists(self, model: str) -> bool:
        """Whether the endpoint says that it serves a model; known after `check`."""
        return bool(self._entries([model]))

    def check_speech(self, model: str) -> None:
        """Make sure that a model that transcribes is served; known after `check`, if at all.

        Raises:
            UsageError: the endpoint lists its models, and not this one.
        """
        if self._listed is not None and not self._entries([model]):
            hearing = [name for name, entry in self._listed.items() if entry.get("task") == "transcribe"]
            lists = f"it serves {', '.join(hearing)} (--speech-model)" if hearing else self.models_in_words()
            raise UsageError(f"{self.base_url} serves no speech model {model}, which transcript needs; {lists}")

    async def _probe(self) -> None:
        """Find out whether what lists no models takes questions: one without messages, which no endpoint answers.

        Raises:
            UsageError: there is no such thing at the address.
        """
        path = "/chat/completions"
        try:
            status, said = await self._server.probe(path, b'{"messages":[]}', deadline_s=min(self._deadline_s, CHECK_S))
        except AttemptError:
            return  # which the first question will meet too
        except RequestError as error:
            raise UsageError(f"--base-url: {error}") from error
        if isinstance(said, dict) and "model" in str(said.get("error")).lower():
            return  # 404 is also how endpoints say that they do not have a model
        completes = isinstance(said, dict) and ("choices" in said or "error" in said)
        if status in _NO_SUCH_PATH or (status < 300 and not completes):
            what = f"HTTP {status}" if status >= 300 else "no chat completion" if isinstance(said, dict) else "no JSON"
            hint = "" if self.base_url.endswith("/v1") else "; is /v1 missing?"
            raise UsageError(f"--base-url {self.base_url}: no OpenAI endpoint there ({path}: {what}){hint}")

    async def _list(self) -> dict[str, dict[str, Any]] | None:
        async def attempt() -> Any:
            try:
                return await self._server.get("/models", deadline_s=min(self._deadline_s, CHECK_S))
            except AuthError:
                return None  # a key may be good for asking and for nothing else
            except NoAnswerError as error:
                # Docker's proxy, or a tunnel, takes connections for a server that does not listen yet.
                raise UnavailableError("closes connections without an answer") from error

        try:
            listed = await self._retry().call(attempt, f"models of {self.base_url}")
            return {str(model["id"]): dict(model) for model in listed["data"]} or None
        except (RequestError, KeyError, TypeError, ValueError):
            return None  # not every endpoint lists its models

    @property
    def takes_video(self) -> bool:
        """Whether frames are sent as one video, as vLLM wants it; known after `check`."""
        return self._is_vllm if self._frames_as == "auto" else self._frames_as == "video"

    @property
    def _is_vllm(self) -> bool:
        return any(model.get("owned_by") in OF_VLLM for model in (self._listed or {}).values())

    def parts(self, content: Content) -> bytes:
        """The media of a request as JSON, once for all requests about a file.

        A picture is one `image_url`. A video is one `video_url` with its frames after commas, which vLLM alone
        knows, or one `image_url` a frame.
        """
        frames = [pybase64.b64encode(jpeg) for jpeg in content.jpegs]
        if content.kind is Kind.VIDEO and self.takes_video:
            return PART % (b"video", b"video", b"video", b",".join(frames))
        return b",".join(PART % (b"image", b"image", b"image", frame) for frame in frames)

    async def ask(
        self,
        request: Request,
        parts: bytes,
        label: str,
        other_try: OtherTry | None = None,
        *,
        choices: Sequence[str] = (),
    ) -> Answer:
        """Ask one question about media that `parts` made, if there are any; `label` names the file in the log.

        The text of the answer is empty where there is nothing but the model's reasoning. Of `choices` it is one, where
        the endpoint is vLLM; others are free in what they say.

        Raises:
            DeclinedError: the model refuses.
            RequestError: there was no answer, or the server refused the request.
            UsageError: the endpoint does not know the model, which it does not list either.
            ServiceLostError: the server is gone.
            StoppedError: the run was stopped.
        """

        async def send(settings: dict[str, Any], earlier: Sequence[Turn]) -> Answer:
            if other_try:
                settings |= {"temperature": other_try.temperature, "seed": other_try.seed}
                if other_try.frequency_penalty:
                    settings["frequency_penalty"] = other_try.frequency_penalty
            body = request_body(request, parts, settings, earlier)
            return await self._retry(request.model).call(lambda: self._attempt(body), f"{label} {request.label}")

        return await self._adapted(request, send, choices)

    async def stream(
        self, request: Request, parts: bytes, turns: Sequence[Turn], label: str
    ) -> AsyncGenerator[str | Answer, None]:
        """Ask a question after others about the same media: the pieces of the answer as they come, at last all of it.

        It is tried again until its first piece is there; other arguments and errors are those of `ask`.
        """
        began = time.perf_counter()

        async def send(settings: dict[str, Any], earlier: Sequence[Turn]) -> tuple[AsyncGenerator[Any, None], Any]:
            settings |= {"stream": True}
            if request.model not in self._uncounted:
                settings["stream_options"] = {"include_usage": True}
            body = request_body(request, parts, settings, [*earlier, *turns])
            return await self._retry(request.model).call(lambda: self._open(body), f"{label} {request.label}")

        events, event = await self._adapted(request, send)
        pieces = Pieces()
        async with aclosing(events):
            try:
                if piece := pieces.add(event):
                    yield piece
                async for event in events:
                    self._check_no_error(event)
                    if piece := pieces.add(event):
                        yield piece
                yield pieces.answer(time.perf_counter() - began)
            except AttemptError as error:
                raise RequestError(f"the answer broke off: {error}") from error

    async def _open(self, body: bytes) -> tuple[AsyncGenerator[Any, None], Any]:
        """An answer that comes in events, and the first of them."""
        events = self._server.stream("/chat/completions", body)
        first = await anext(events, None)
        if first is None:
            raise FailedError("the answer holds nothing")
        self._check_no_error(first)
        return events, first

    async def _adapted(
        self,
        request: Request,
        send: Callable[[dict[str, Any], Sequence[Turn]], Awaitable[T]],
        choices: Sequence[str] = (),
    ) -> T:
        """What `send` gives, with settings, and as many earlier turns, as the model takes: its refusals tell."""
        model, earlier = request.model, request.earlier
        while True:
            # As it is sent: requests that are in flight together learn the same of their model, each for itself.
            limit, counted = self._limits.get(model, _LIMIT), model not in self._uncounted
            chosen = bool(choices) and self._is_vllm
            structured = (is_structured(request.answer) or chosen) and model not in self._unstructured
            settings: dict[str, Any] = {"temperature": request.temperature, limit: request.max_tokens}
            if structured and chosen:
                settings["structured_outputs"] = {"choice": list(choices)}
            elif structured:
                schema = {"name": request.task, "schema": sent_schema(request.answer), "strict": True}
                settings["response_format"] = {"type": "json_schema", "json_schema": schema}
            try:
                return await send(settings, earlier)
            except RequestError as error:
                if model in self._unlisted and _UNKNOWN_MODEL.search(str(error)):
                    raise UsageError(
                        f"{self.base_url} does not serve {model} (--model, --image-model, --video-model); "
                        f"{self.models_in_words()} ({error})"
                    ) from error
                if not isinstance(error, RefusedError):
                    raise
                if limit == _LIMIT and _LIMIT_OF_NEWER_MODELS in str(error):
                    # OpenAI's newer models refuse the older name, which is the only one that others know.
                    self._limits[model] = _LIMIT_OF_NEWER_MODELS
                elif structured and _NO_SCHEMA.search(str(error)):
                    self._unstructured.add(model)
                elif counted and "stream_options" in str(error):
                    self._uncounted.add(model)
                elif earlier and TOO_LONG.search(str(error)):
                    earlier = earlier[1:]
                else:
                    raise

    def _retry(self, model: str = "") -> RetryPolicy:
        """Models are waited for one by one: behind one endpoint one may be there and another not."""
        if model not in self._retries:
            name = f"model {model} at {self.base_url}" if model else f"endpoint {self.base_url}"
            self._retries[model] = RetryPolicy(
                name,
                wait_s=self._wait_s,
                notify=self._notify,
                stop=self._stop,
                leaves=partial(self.leaves, model) if self.leaves else None,
            )
        return self._retries[model]

    async def _attempt(self, body: bytes) -> Answer:
        began = time.perf_counter()
        completion = await self._server.post("/chat/completions", body)
        self._check_no_error(completion)
        return read_completion(completion, time.perf_counter() - began)

    def _check_no_error(self, said: Any) -> None:
        if isinstance(said, dict) and said.get("error") and not said.get("choices"):
            # Some endpoints that pass requests on answer 200 before they know how it ends.
            raise FailedError(f"the answer is an error: {self._server.error_of(said)}")
