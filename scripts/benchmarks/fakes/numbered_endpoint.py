"""The endpoint of `instant_endpoint.py` with an answer of three sentences that no other request gets.

    python -m scripts.benchmarks.fakes.numbered_endpoint

So nothing that is translated was translated before. It prints its port.
"""

from __future__ import annotations

import asyncio
import copy
from itertools import count

from scripts.benchmarks.fakes.instant_endpoint import ANSWER, Instant, response

SENTENCES = "Scene {0} opens with red everywhere. Then comes blue number {0} on the left. It ends with {0} green signs."
NUMBERS = count(1)


class Numbered(Instant):
    """One connection."""

    def _send(self) -> None:
        if self._answer is self._completion:
            answer = copy.deepcopy(ANSWER)
            answer["choices"][0]["message"]["content"] = SENTENCES.format(next(NUMBERS))  # type: ignore[index]
            self._answer = response(answer)
        super()._send()


async def serve() -> None:
    """Serve for ever on a free port, which is printed."""
    server = await asyncio.get_running_loop().create_server(lambda: Numbered(0), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
