"""An OpenAI endpoint that answers at once, or after a while, without looking: what is left is the client's cost.

    python -m scripts.benchmarks.fakes.instant_endpoint --latency-ms 200

It prints its port. `POST /v1/completions` gets a stream of the times at which its pieces were sent.

Hand-made on asyncio's transports, because a web framework would take most of the CPU that is to be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "instant",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A red car drives along the sea at dusk. " * 10},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1200, "completion_tokens": 100, "total_tokens": 1300},
}
MODELS = {
    "object": "list",
    "data": [
        {"id": name, "object": "model", "owned_by": "vllm"} for name in ("llama-3.2-11b-vision", "llava-next-video-7b")
    ],
}

PIECES, PIECE_EVERY_S = 40, 0.005
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def response(content: object) -> bytes:
    """A whole HTTP response with `content` as JSON."""
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Instant(asyncio.Protocol):
    """One connection, kept alive; requests follow each other."""

    def __init__(self, latency: float) -> None:
        """`latency` in seconds."""
        self._latency = latency
        self._completion, self._models = response(ANSWER), response(MODELS)
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connects."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a body; answer at its end."""
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            self._left = int(fields.get(b"content-length", b"0")) - len(rest)
            self._answer = self._models if head.startswith(b"GET") else self._completion
            self._streams = head.startswith(b"POST /v1/completions")
            self._head = b""
        if self._left == 0:
            if self._streams:
                self._transport.write(STREAM_HEAD)
                self._stream(PIECES)
            elif self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._send)
            else:
                self._send()

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._answer)

    def _stream(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(b"0\r\n\r\n")
            return
        event = b"data: %d\n\n" % time.monotonic_ns()
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        asyncio.get_running_loop().call_later(PIECE_EVERY_S, self._stream, left - 1)


async def serve(latency: float) -> None:
    """Serve for ever on a free port, which is printed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Instant(latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=float, default=0)
    asyncio.run(serve(parser.parse_args().latency_ms / 1000))
