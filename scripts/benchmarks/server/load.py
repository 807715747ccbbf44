"""The load of `benchmarks.server`: requests as Babelview sends them, and vLLM's load generator to send them with.

What sends, reads the streams and takes the times is `vllm bench serve` itself, called as a function: its command cannot
send videos as frames, and takes ten seconds to start for each level. Every request has media of its own, as files have,
so that no cache answers for the model.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import itertools
import os
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import simplejpeg
from PIL import Image

from client.endpoints.chat import ModelClient
from client.endpoints.keys import API_KEY
from client.media.jpeg import QUALITY
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.media.tiles import model_size
from client.tasks.tasks import choose_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE = (1920, 1080)
"""Pixels of the files that the requests stand for."""
CHECK_S = 5.0
TRIAL_SEED = 1 << 32
"""Of the request that is sent first: its media come in no measurement."""
MOST_SAID = 500
PERCENTILES = (50, 90, 95, 99)
LATENCIES = ("TTFT", "TPOT", "ITL", "E2EL")
"""As vLLM and guidellm call them: time to first token, time per output token after it, time between two pieces of a
stream, and from end to end."""


class LoadError(Exception):
    """The endpoint cannot be measured; the message says why."""


class Sent(StrEnum):
    """What a request holds beside its question: nothing, a picture or the frames of a video."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"


@dataclass
class Requests:
    """Makes requests, each one different from all before it."""

    sent: Sent
    seed: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        kind = Kind.VIDEO if self.sent is Sent.VIDEO else Kind.IMAGE
        self._question = choose_tasks(["describe"], [])[0].prompts[kind].text

    def take(self, count: int) -> list[list[dict[str, Any]]]:
        """The messages of `count` chat requests."""
        return [self._messages(number) for number in itertools.islice(self._numbers, count)]

    def _messages(self, number: int) -> list[dict[str, Any]]:
        content: list[dict[str, Any]]
        if self.sent is Sent.TEXT:
            # The number stands first: a prompt that began like another one would be served from the prefix cache.
            content = [{"type": "text", "text": f"{self.seed}.{number} {self._question}"}]
        else:
            content = [self._media(np.random.default_rng((self.seed, number)))]
            content.append({"type": "text", "text": self._question})
        return [{"role": "user", "content": content}]

    def _media(self, random: np.random.Generator) -> dict[str, Any]:
        if self.sent is Sent.IMAGE:
            url = f"data:image/jpeg;base64,{_jpeg(random, *model_size(*SOURCE))}"
            return {"type": "image_url", "image_url": {"url": url}}
        sampling = Sampling()
        width = round(sampling.edge * SOURCE[0] / SOURCE[1])
        frames = ",".join(_jpeg(random, width, sampling.edge) for _ in range(sampling.frames))
        return {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{frames}"}}


def _jpeg(random: np.random.Generator, width: int, height: int) -> str:
    """A blurred picture of random colours, which takes about as many bytes as a photograph that is out of focus."""
    colours = Image.fromarray(random.integers(0, 255, (18, 32, 3), dtype=np.uint8))
    pixels = np.asarray(colours.resize((width, height), Image.Resampling.BICUBIC))
    return base64.b64encode(simplejpeg.encode_jpeg(pixels, QUALITY)).decode()


@dataclass(frozen=True)
class Target:
    """What is measured: a model behind an endpoint, and how long its answers are."""

    base_url: str
    """With /v1."""
    model: str
    output_tokens: int
    ignore_eos: bool = True
    """vLLM's own parameter, without which answers may end early; other servers may refuse it."""

    @property
    def root(self) -> str:
        """The base URL without /v1, as load generators want it."""
        return self.base_url.rstrip("/").removesuffix("/v1")


@dataclass(frozen=True)
class Load:
    """`count` requests to a model, `concurrency` at a time: another one is sent as soon as one was answered."""

    target: Target
    requests: Requests
    concurrency: int
    count: int


@dataclass(frozen=True)
class Level:
    """What came of a load.

    Attributes:
        completed: Requests with an answer.
        errors: What went wrong with the others.
        input_tokens: Of all answered requests, as the server counts them.
        output_tokens: Likewise.
        total_s: From the first request sent to the last answer read.
        goodput: Requests per second that kept the objectives; None without any.
        milliseconds: The values of each of `LATENCIES`, of a request each; of ITL those of all requests.
    """

    completed: int
    errors: list[str]
    input_tokens: int
    output_tokens: int
    total_s: float
    goodput: float | None
    milliseconds: dict[str, list[float]]

    @property
    def requests_per_s(self) -> float:
        """Answered requests per second."""
        return self.completed / self.total_s

    @property
    def tokens_per_s(self) -> float:
        """Output tokens per second."""
        return self.output_tokens / self.total_s

    def percentile(self, latency: str, percent: float) -> float:
        """Milliseconds that so many percent of the values of `latency` do not exceed; 0 where there are none."""
        values = self.milliseconds[latency]
        return float(np.percentile(values, percent)) if values else 0.0


async def check(target: Target, sent: Sent) -> None:
    """Make sure that the endpoint is there, serves the model, and takes such a request.

    Raises:
        BabelviewError: It does not; the message says what it serves.
        LoadError: It refuses the request; the message is its own.
    """
    stop, key = asyncio.Event(), os.environ.get(API_KEY)
    model = ModelClient(f"{target.root}/v1", key, deadline_s=CHECK_S, wait_s=CHECK_S, notify=_say, stop=stop)
    try:
        await model.check({target.model})
    finally:
        await model.close()
    # The load generator keeps no more of a refusal than its status.
    (messages,) = Requests(sent, TRIAL_SEED).take(1)
    body = {"model": target.model, "messages": messages, "max_tokens": target.output_tokens, "temperature": 0}
    body |= {"ignore_eos": True} if target.ignore_eos else {}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{target.root}/v1/chat/completions", json=body) as response,
        ):
            said = " ".join((await response.text()).split())[:MOST_SAID]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise LoadError(f"a first request failed: {error or 'no answer in time'}") from error
    if not response.ok:
        hint = f" (a key comes from {API_KEY})" if response.status in (401, 403) else ""
        raise LoadError(f"a first request was refused: {response.status} {response.reason}{hint}: {said}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def measure(load: Load, objectives: Mapping[str, float]) -> Level:
    """Send the requests.

    Args:
        load: What is sent.
        objectives: Milliseconds that a good request does not exceed in `ttft`, `tpot` or `e2el`.

    Raises:
        LoadError: No request was answered, or the endpoint does not count tokens.
    """
    # Heavy; and a wrong flag shall not wait for it.
    from vllm.benchmarks.datasets import SampleRequest  # noqa: PLC0415
    from vllm.benchmarks.serve import TaskType, benchmark  # noqa: PLC0415

    target, key = load.target, os.environ.get(API_KEY)
    requests = [
        SampleRequest(prompt="", prompt_len=0, expected_output_len=target.output_tokens, chat_messages=messages)
        for messages in load.requests.take(load.count)
    ]
    work = benchmark(
        task_type=TaskType.GENERATION,
        endpoint_type="openai-chat",
        api_url=f"{target.root}/v1/chat/completions",
        base_url=target.root,
        model_id=target.model,
        model_name=target.model,
        tokenizer=None,
        input_requests=requests,
        logprobs=None,
        request_rate=float("inf"),
        burstiness=1.0,
        disable_tqdm=True,
        num_warmups=0,
        profile=False,
        selected_percentile_metrics=[],
        selected_percentiles=[],
        ignore_eos=target.ignore_eos,
        goodput_config_dict=dict(objectives),
        max_concurrency=load.concurrency,
        lora_modules=None,
        extra_headers={"Authorization": f"Bearer {key}"} if key else None,
        extra_body={"temperature": 0},
        ready_check_timeout_sec=0,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        return read_result(asyncio.run(work))


def read_result(result: Mapping[str, Any]) -> Level:
    """What `vllm bench serve --save-result --save-detailed` writes, and its function returns.

    Raises:
        LoadError: No request was answered, or the endpoint does not count tokens.
    """
    columns = [result[name] for name in ("ttfts", "latencies", "itls", "output_lens", "errors")]
    failed = [error.strip() for first, *_, error in zip(*columns, strict=True) if not first]
    errors = [error.splitlines()[-1] if error else "no reason given" for error in failed]
    if not result["completed"]:
        raise LoadError(f"no request was answered: {errors[0]}")
    values: dict[str, list[float]] = {name: [] for name in LATENCIES}
    for first, latency, gaps, tokens, _ in zip(*columns, strict=True):
        if not first:
            continue
        if tokens == 1 < len(gaps) - 1:
            raise LoadError("the endpoint does not count tokens in its streams (stream_options.include_usage)")
        values["TTFT"].append(1000 * first)
        values["E2EL"].append(1000 * latency)
        if tokens > 1:
            values["TPOT"].append(1000 * (latency - first) / (tokens - 1))
        # A chat stream begins with a piece that only says who speaks; the first token comes right behind it.
        values["ITL"] += [1000 * gap for gap in gaps[1:]]
    return Level(
        result["completed"],
        errors,
        result["total_input_tokens"],
        result["total_output_tokens"],
        result["duration"],
        result["request_goodput"],
        values,
    )
