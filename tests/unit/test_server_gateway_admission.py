"""Keys, limits, and clients that mean no good."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import orjson
import pytest
from gateway_rig import HELLO, PASSED_ON, PICTURE, Engine, gateway, until

from server.errors import PreflightError, RequestError
from server.gateway import keys
from server.gateway.admission import Admission
from server.gateway.config import GatewayConfig, Limits
from server.gateway.keyring import Keyring, check_exposure, hash_line
from server.parts import open_gateway_socket, stack_parts
from server.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ALICE, BOB = "bv-alice-0123456789abcdef", "bv-bob-0123456789abcdef"


def client(address: str, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)


async def ask(sdk: openai.AsyncOpenAI) -> None:
    await sdk.chat.completions.create(model=PICTURE, messages=HELLO, stream=False)  # type: ignore[call-overload]


@pytest.fixture
def two_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Alice's key is in the environment, Bob's in a file; the file."""
    monkeypatch.setenv("BABELVIEW_API_KEYS", f"alice={ALICE}")
    path = tmp_path / "keys.txt"
    path.write_text(f"# who may ask\n{hash_line('bob', BOB)}\n")
    return str(path)


async def test_known_keys_open_and_others_do_not(folder: Path, engine: Engine, two_keys: str) -> None:
    async with gateway(folder, keys_file=two_keys) as address:
        for key in (ALICE, BOB):
            await ask(client(address, key))
        for key in ("none", ALICE[:-1], ALICE + "x", ALICE.upper(), "alice", "sha256:00", "ключ".encode().hex()):
            with pytest.raises(openai.AuthenticationError) as raised:
                await ask(client(address, key))
            assert raised.value.code == "invalid_api_key"
    assert len(engine.bodies) == 2


async def test_without_a_key_nothing_but_health_is_told(folder: Path, engine: Engine, two_keys: str) -> None:
    async with gateway(folder, keys_file=two_keys) as address, aiohttp.ClientSession() as http:
        for path in ("/health/live", "/health", "/openapi.json"):
            assert (await http.get(address + path)).status == 200
        for path in ("/v1/models", "/metrics", "/metrics/targets", "/nothing", f"/v1/models/{PICTURE}"):
            assert (await http.get(address + path)).status == 401
        for given in (f"Basic {ALICE}", ALICE, "Bearer", f"Bearer {ALICE} x"):
            headers = {"Authorization": given}
            assert (await http.get(f"{address}/v1/models", headers=headers)).status == 401
    async with gateway(folder, keys_file=two_keys, open_metrics=True) as address, aiohttp.ClientSession() as http:
        assert (await http.get(f"{address}/metrics")).status == 200


async def test_the_key_does_not_reach_the_engine(folder: Path, engine: Engine, two_keys: str) -> None:
    async with gateway(folder, keys_file=two_keys) as address:
        await ask(client(address, BOB))
    assert "Authorization" not in engine.headers
    assert {name.lower() for name in engine.headers} <= PASSED_ON


async def test_a_key_has_so_many_requests_in_flight(folder: Path, engine: Engine, two_keys: str) -> None:
    engine.behave = "wait"
    async with gateway(folder, keys_file=two_keys, limits=Limits(key_in_flight=2)) as address:
        asking = [asyncio.create_task(ask(client(address, ALICE))) for _ in range(2)]
        await until(lambda: len(engine.bodies) == 2)
        with pytest.raises(openai.RateLimitError, match="in flight") as raised:
            await ask(client(address, ALICE))
        assert int(raised.value.response.headers["Retry-After"]) > 0
        engine.go_on.set()
        await ask(client(address, BOB))  # has nothing to do with it
        await asyncio.gather(*asking)
        await ask(client(address, ALICE))


async def test_everybody_together_has_so_many_requests_in_flight(folder: Path, engine: Engine) -> None:
    engine.behave = "wait"
    async with gateway(folder, limits=Limits(max_in_flight=2)) as address:
        asking = [asyncio.create_task(ask(client(address))) for _ in range(2)]
        await until(lambda: len(engine.bodies) == 2)
        with pytest.raises(openai.RateLimitError, match="full"):
            await ask(client(address))
        engine.go_on.set()
        await asyncio.gather(*asking)


async def test_bodies_in_memory_are_bounded_and_counted_back(folder: Path, engine: Engine) -> None:
    engine.behave = "wait"
    async with gateway(folder, limits=Limits(max_buffered_bytes=600)) as address, aiohttp.ClientSession() as http:
        url = f"{address}/v1/chat/completions"
        body = orjson.dumps({"model": PICTURE, "messages": [{"role": "user", "content": "x" * 300}]})
        for _ in range(3):
            asking = asyncio.create_task(http.post(url, data=body))
            count = len(engine.bodies)
            await until(lambda count=count: len(engine.bodies) > count)  # type: ignore[misc]
            assert (await http.post(url, data=body)).status == 429
            engine.go_on.set()
            assert (await asking).status == 200
            engine.go_on.clear()

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(8):
                yield b"x" * 100

        assert (await http.post(url, data=pieces())).status == 429


def test_a_keys_requests_in_a_minute_are_a_bucket_that_fills_again() -> None:
    now = 100.0
    admission = Admission(Limits(key_per_minute=6), Keyring({}), clock=lambda: now)

    refusals: list[Any] = []

    def enter(key: str) -> bool:
        try:
            with admission.enter(key):
                return True
        except RequestError as error:
            refusals.append((error.status, error.retry_after_s))
            return False

    assert [enter("alice") for _ in range(8)] == [True] * 6 + [False] * 2
    assert enter("bob")
    now += 10
    assert [enter("alice") for _ in range(2)] == [True, False]
    now += 3600
    assert [enter("alice") for _ in range(7)] == [True] * 6 + [False]
    assert admission.in_flight == 0
    assert refusals == [(429, 10)] * 4


def test_beyond_loopback_a_key_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BABELVIEW_API_KEYS", raising=False)
    config = GatewayConfig(models=())
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        check_exposure(host, config)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(PreflightError, match="BABELVIEW_API_KEYS"):
            check_exposure(host, config)
        check_exposure(host, GatewayConfig(models=(), allow_anonymous=True))
    monkeypatch.setenv("BABELVIEW_API_KEYS", ALICE)
    check_exposure("0.0.0.0", config)


@pytest.mark.parametrize("given", ["short", "with space in the key", f"a={ALICE},a={BOB}", "sha256:00"])
def test_a_key_that_is_not_right_is_not_repeated(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BABELVIEW_API_KEYS", given)
    with pytest.raises(PreflightError) as raised:
        Keyring.load(GatewayConfig(models=()))
    assert given not in str(raised.value)


@pytest.mark.parametrize("line", ["alice", f"alice {ALICE}", "al/ice sha256:" + "0" * 64, "alice sha256:" + "g" * 64])
def test_a_file_of_keys_that_is_not_right_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"\n{line}\n")
    with pytest.raises(PreflightError, match=r"keys\.txt, line 2"):
        Keyring.load(GatewayConfig(models=(), keys_file=str(path)))


def test_one_key_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_API_KEYS", f"alice={ALICE}")
    path = tmp_path / "keys.txt"
    path.write_text(f"{hash_line('eve', ALICE)}\n")
    with pytest.raises(PreflightError, match="alice and eve have the same key"):
        Keyring.load(GatewayConfig(models=(), keys_file=str(path)))


def test_a_file_of_keys_may_begin_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(b"\xef\xbb\xbf" + hash_line("bob", BOB).encode() + b"\r\n")
    assert Keyring.load(GatewayConfig(models=(), keys_file=str(path))).name_of(BOB) == "bob"


def test_a_new_key_is_shown_once_and_kept_as_its_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BABELVIEW_API_KEYS", raising=False)
    path = tmp_path / "keys.txt"
    assert keys.main(["new", "alice", "--file", str(path)]) == 0
    key = capsys.readouterr().out.strip()
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = Keyring.load(GatewayConfig(models=(), keys_file=str(path)))
    assert ring.name_of(key) == "alice"
    assert ring.name_of(key + "x") is None
    assert keys.main(["new", "no spaces"]) == 2


def test_a_stack_beyond_loopback_does_not_start_without_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = load_profile("demo").with_settings(host="0.0.0.0", port=0, translator_port=0)
    monkeypatch.delenv("BABELVIEW_API_KEYS", raising=False)
    with open_gateway_socket(profile.gateway) as listener:
        with pytest.raises(PreflightError, match=r"0\.0\.0\.0 without API keys"):
            stack_parts(profile, tmp_path, listener)
        monkeypatch.setenv("BABELVIEW_API_KEYS", ALICE)
        assert stack_parts(profile, tmp_path, listener)[0].name == "gateway"
        assert ALICE not in (tmp_path / "gateway.json").read_text()
