"""An engine of the test in a process of its own: `python engine_script.py SOCKET NAME`.

It takes its time over an answer as a model would, and says its name and process id in it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import orjson
from aiohttp import web

PIECES = 6


def choice(content: dict[str, Any], kind: str) -> bytes:
    return orjson.dumps(
        {
            "id": "1",
            "object": kind,
            "created": 1,
            "model": sys.argv[2],
            "choices": [{"index": 0, **content}],
            "usage": {"prompt_tokens": 5, "completion_tokens": PIECES, "total_tokens": 5 + PIECES},
        }
    )


async def chat(request: web.Request) -> web.StreamResponse:
    asked = orjson.loads(await request.read())
    pause = asked.get("metadata", {}).get("pause", 0.02)  # seconds between pieces: how a test says it
    if not asked.get("stream"):
        await asyncio.sleep(pause * PIECES)
        message = {"role": "assistant", "content": f"{sys.argv[2]} {os.getpid()}"}
        return web.Response(
            body=choice({"message": message, "finish_reason": "stop"}, "chat.completion"),
            content_type="application/json",
        )
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(PIECES):
        await asyncio.sleep(pause)
        delta = {"delta": {"content": str(number)}, "finish_reason": "stop" if number == PIECES - 1 else None}
        await response.write(b"data: " + choice(delta, "chat.completion.chunk") + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


async def health(_: web.Request) -> web.Response:
    return web.Response()


if __name__ == "__main__":
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/health", health)
    web.run_app(app, path=sys.argv[1], print=None, access_log=None)
