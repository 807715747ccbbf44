"""An OpenAI endpoint that answers at once, or after a while, without looking: what is left is the client's cost.

    python -m scripts.benchmarks.fakes.endpoint --latency-ms 200

It prints its port. `POST /v1/completions` gets a stream of the times at which its pieces were sent. With `--numbered`,
each answer is three sentences that no other request gets, so that nothing that is translated was translated before.
It is a translator at once, too, of one text into the languages of a run that names none (`POST /v1/translations`).

Hand-made on asyncio's transports, because a web framework would take most of the CPU that is to be measured. The
endpoint whose behaviour a test decides, `scripted.py`, is one on a web framework; its answers have the same form.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from itertools import count
from typing import Any

MODELS = ("llama-3.2-11b-vision", "llava-next-video-7b")
ANSWER = (
    "A red car drives along the sea at dusk. Behind it, three white houses stand on a hill, and a lighthouse sends its "
    'beam over the bay. On the left, a wooden sign reads "Fresh fish daily", with an arrow towards the harbour. Two '
    "people wave from a bench in the middle of the picture. The light is warm, the shadows are long, and the style is "
    "that of a travel poster of the fifties, with flat colours."
)
SENTENCES = "Scene {0} opens with red everywhere. Then comes blue number {0} on the left. It ends with {0} green signs."

LANGUAGES = {
    "spa_Latn": "La escena {0} comienza con rojo por todas partes. Luego viene el número azul {0} a la izquierda. "
    "Termina con {0} señales verdes.",
    "fra_Latn": "La scène {0} s'ouvre avec du rouge partout. Puis vient le numéro bleu {0} à gauche. Elle se termine "
    "avec {0} panneaux verts.",
    "hin_Deva": "दृश्य {0} हर जगह लाल रंग के साथ खुलता है। फिर बाईं ओर नीला अंक {0} आता है। यह {0} हरे संकेतों के साथ समाप्त होता है।",
}

PIECES, PIECE_EVERY_S = 40, 0.005
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def completion_document(
    text: str | None,
    finish_reason: str = "stop",
    *,
    model: str = "instant",
    prompt_tokens: int = 1200,
    completion_tokens: int = 100,
) -> dict[str, Any]:
    """A chat completion, as the OpenAI API has it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def models_document(owner: str, *names: str) -> dict[str, Any]:
    """The list of models, as the OpenAI API has it."""
    return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": owner} for name in names]}


def translations_document(number: int) -> dict[str, Any]:
    """The translations of one of the numbered answers, as Babelview's own translator gives them."""
    said = [{"verdict": "ok", "reason": None}] * 3
    return {"translations": [{code: {"text": it.format(number), "sentences": said} for code, it in LANGUAGES.items()}]}


def response(content: object) -> bytes:
    """A whole HTTP response with `content` as JSON."""
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection, kept alive; requests follow each other."""

    def __init__(self, latency_s: float = 0, numbers: count[int] | None = None) -> None:
        """`latency_s` before each answer; `numbers` for answers that differ, otherwise all are the same."""
        self._latency_s, self._numbers = latency_s, numbers
        self._completion = response(completion_document(ANSWER))
        self._models = response(models_document("vllm", *MODELS))
        self._languages = response([{"code": code} for code in LANGUAGES])
        self._translations = response(translations_document(1))
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of a new connection."""
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
            if head.startswith(b"GET /languages"):
                self._answer = self._languages
            elif head.startswith(b"POST /v1/translations"):
                self._answer = self._translations if self._numbers is None else self._numbered_translations()
            self._streams = head.startswith(b"POST /v1/completions")
            self._head = b""
        if self._left == 0:
            if self._streams:
                self._transport.write(STREAM_HEAD)
                self._stream(PIECES)
            elif self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._send)
            else:
                self._send()

    def _numbered_translations(self) -> bytes:
        assert self._numbers is not None
        return response(translations_document(next(self._numbers)))

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        if self._numbers is not None and self._answer is self._completion:
            self._transport.write(response(completion_document(SENTENCES.format(next(self._numbers)))))
        else:
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


async def serve(latency_s: float, *, numbered: bool) -> None:
    """Serve for ever on a free port, which is printed."""
    loop = asyncio.get_running_loop()
    numbers = count(1) if numbered else None
    server = await loop.create_server(lambda: Connection(latency_s, numbers), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=float, default=0, help="before each answer (default: 0)")
    parser.add_argument("--numbered", action="store_true", help="no two answers are the same")
    args = parser.parse_args()
    asyncio.run(serve(args.latency_ms / 1000, numbered=args.numbered))
