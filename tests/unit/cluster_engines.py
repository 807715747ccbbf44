"""An engine that a test plays where vLLM would run: a package of its name, which our own engine command imports.

It listens where it is told to, and says its process id to whoever has its key; a stream it begins and does not end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil

from server.supervision.process import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = """
import argparse, asyncio, json, os, subprocess, sys
from aiohttp import web

async def health(_):
    return web.Response()

async def chat(request):
    if request.headers.get("Authorization") != "Bearer " + os.environ["VLLM_API_KEY"]:
        return web.Response(status=401)
    asked = await request.json()
    head = {"id": "1", "created": 1, "model": "m"}
    if not asked.get("stream"):
        said = {"message": {"role": "assistant", "content": str(os.getpid())}, "index": 0, "finish_reason": "stop"}
        return web.json_response({**head, "object": "chat.completion", "choices": [said]})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    said = {"index": 0, "delta": {"content": str(os.getpid())}}
    event = {**head, "object": "chat.completion.chunk", "choices": [said]}
    await response.write(b"data: " + json.dumps(event).encode() + b"\\n\\n")
    await asyncio.sleep(3600)

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    listens, _ = parser.parse_known_args(sys.argv[1:])
    print("Starting to load model", flush=True)
    if os.environ.get("FAILS"):
        sys.exit("no weights in the box")
    if os.environ.get("HAS_A_CHILD"):
        print("child", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid, flush=True)
    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/health/core", health)
    app.router.add_post("/v1/chat/completions", chat)
    web.run_app(app, host=listens.host, port=listens.port, access_log=None, print=None)
"""


def played_vllm(folder: Path) -> dict[str, str]:
    """Write the package into `folder`; the environment of engines that are to import it."""
    for name in ("", "engine", "entrypoints", "entrypoints/launchers", "entrypoints/launchers/api_server"):
        package = folder / "vllm" / name
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
    limits = "class AsyncEngineArgs:\n    create_engine_config = print\n"
    (folder / "vllm" / "engine" / "arg_utils.py").write_text(limits)
    (package / "entry.py").write_text(ENTRY)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may stay as a zombie, where nobody waits for orphans."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def empty_model(folder: Path) -> str:
    """A model's folder, which nobody looks into."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return str(folder)
