"""Many clients at once, and SIGTERM in the middle: nothing fails but 429, nothing that was accepted is lost."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import aiohttp
from translator_process import Service

from scripts.benchmarks.translator.load import TARGETS, WORDS

CLIENTS = 32


class Clients:
    """Clients that ask for more and more new sentences until the service has gone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.outcomes: Counter[str] = Counter()
        self.stopping = False
        self._next = iter(range(10**9))

    def texts(self, count: int) -> list[str]:
        numbers = [next(self._next) for _ in range(count)]
        return [f"{WORDS[n % len(WORDS)].strip('.,').capitalize()} number {n}." for n in numbers]

    async def run(self, number: int) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(300)) as session:
            while await self.ask(session, self.texts((1, 2, 12, 40)[number % 4]), TARGETS[: 1 + number % 3]):
                pass

    async def ask(self, session: aiohttp.ClientSession, texts: list[str], targets: list[str]) -> bool:
        """Ask once; whether to go on."""
        try:
            async with session.post(
                f"{self.url}/v1/translations", json={"texts": texts, "targets": targets}
            ) as response:
                status, answer = response.status, await response.json()
        except aiohttp.ClientConnectorError:
            self.outcomes["refused" if self.stopping else "cannot connect"] += 1
            return False
        except (aiohttp.ClientError, OSError) as error:
            self.outcomes[f"lost: {error!r}"] += 1
            return False
        if status == 200:
            assert [list(said) for said in answer["translations"]] == [targets] * len(texts)
            sources = [said[targets[0]]["sentences"][0]["source"] for said in answer["translations"]]
            assert sources == texts
        elif status == 429:
            assert int(response.headers["Retry-After"]) >= 1
            await asyncio.sleep(0.2)
        elif status == 503:
            assert self.stopping
            assert answer["error"]["code"] == "shutting_down"
        self.outcomes[str(status)] += 1
        return status != 503


async def test_load_and_sigterm(translator_cache: Path) -> None:
    service = Service(translator_cache, "--model", "demo", "--queue", "200")
    service.wait_for("is ready")
    clients = Clients(service.url)
    running = [asyncio.create_task(clients.run(number)) for number in range(CLIENTS)]
    async with asyncio.timeout(120):
        while clients.outcomes["200"] < 3 * CLIENTS:  # noqa: ASYNC110 (counts what others do)
            await asyncio.sleep(0.05)
    before = clients.outcomes["200"]
    clients.stopping = True
    service.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*running)
    assert await asyncio.to_thread(service.process.wait, 120) == 0
    assert set(clients.outcomes) <= {"200", "429", "503", "refused"}, clients.outcomes
    assert clients.outcomes["200"] > before  # what was in flight was answered
    assert "stopped" in service.wait_for("INFO stopped").group()
