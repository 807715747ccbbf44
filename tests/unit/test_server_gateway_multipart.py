"""Multipart forms: what forms may be, what none may be, and that no body holds anybody else up."""

from __future__ import annotations

from contextlib import suppress

import pytest
from traced import steps_of

from server.errors import RequestError
from server.gateway import multipart

KIND = "multipart/form-data; boundary=x"
HEAD = b"Content-Disposition: form-data; name="


def form(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


def read(body: bytes, kind: str = KIND) -> list[tuple[str, bytes]]:
    return list(multipart.parts(kind, body))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (KIND, form(HEAD + b'"a"\r\n\r\n1')),
        (KIND, form(HEAD + b'"a"\r\n\r\n1', end=b"--x--")),
        (KIND, b"a preamble\r\n" + form(HEAD + b"a\r\n\r\n1") + b"an epilogue\r\n--x\r\n"),
        (KIND, form(b"Content-Type: text/plain\r\ncontent-disposition:form-data;name=a; filename=b\r\n\r\n1")),
        (KIND, form(HEAD + "a; filename=äß中.wav\r\n\r\n1".encode())),
        (KIND, form(HEAD + b'a; filename="a\xff;name=b"\r\n\r\n1')),
        (KIND, form(HEAD + b"a\r\nContent-Transfer-Encoding: Binary\r\n\r\n1")),
        (KIND, form(HEAD + b"\"a\"; filename*=undefined''b\r\n\r\n1")),
        (KIND, form(HEAD + rb'"\a"; filename="\"; name=b"' + b"\r\n\r\n1")),
        ("multipart/form-data;; charset=utf-8 ; boundary=x;", form(HEAD + b"a\r\n\r\n1")),
        ("multipart/form-data; boundary*=undefined''a; boundary=x", form(HEAD + b"a\r\n\r\n1")),
        (KIND, form(HEAD + b"a\r\n\r\n1").replace(b"--x\r\n", b"--x \t\r\n")),
        ('Multipart/Form-Data; charset=utf-8; BOUNDARY="x"', form(HEAD + b"a\r\n\r\n1")),
        ('multipart/form-data; boundary="a b"', form(HEAD + b"a\r\n\r\n1").replace(b"--x", b"--a b")),
    ],
)
def test_forms_are_read(kind: str, body: bytes) -> None:
    assert read(body, kind) == [("a", b"1")]


def test_what_is_sent_is_what_is_read() -> None:
    contents = [
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b"--",
        b"-x",
        b"\r\n--",
        b"\r\n-x",
        b"--y",
        b"\0\xff" * 9,
        b"a--x\r\nb",
        b"\r",
    ]
    body = form(*(HEAD + b"p%d\r\n\r\n" % number + content for number, content in enumerate(contents)))
    assert read(body) == [(f"p{number}", content) for number, content in enumerate(contents)]


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("multipart/form-data", form(HEAD + b"a\r\n\r\n1"), "boundary"),
        ("multipart/form-data; boundary=", form(HEAD + b"a\r\n\r\n1"), "boundary"),
        (f"multipart/form-data; boundary={'x' * 71}", form(HEAD + b"a\r\n\r\n1"), "70"),
        ("multipart/form-data; boundary=\udcff", form(HEAD + b"a\r\n\r\n1"), "ASCII"),
        ("multipart/form-data; boundary*=undefined''x", form(HEAD + b"a\r\n\r\n1"), "boundary"),
        ('multipart/form-data; boundary="x', form(HEAD + b"a\r\n\r\n1"), "boundary"),
        ("application/json", form(HEAD + b"a\r\n\r\n1"), "content type"),
        ("", form(HEAD + b"a\r\n\r\n1"), "content type"),
        (KIND, b"", "no multipart form"),
        (KIND, form(HEAD + b"a\r\n\r\n1", end=b""), "no multipart form"),
        (KIND, form(HEAD + b"a\r\n\r\n1").replace(b"--x\r\n", b"--xy\r\n"), "no multipart form"),
        (KIND, form(HEAD + b"a"), "no multipart form"),
        (KIND, form(b"X: " + b"a" * 5000 + b"\r\n" + HEAD + b"a\r\n\r\n1"), "no multipart form"),
        (KIND, form(b"\r\n1"), "name"),
        (KIND, form(b"X: a\r\n\r\n1"), "name"),
        (KIND, form(HEAD + b"\r\n\r\n1"), "name"),
        (KIND, form(HEAD.replace(b"name", b"name*") + b"idna''a\r\n\r\n1"), "name"),
        (KIND, form(HEAD + b"a\r\nContent-Transfer-Encoding: base64\r\n\r\n1"), "Content-Transfer-Encoding"),
        (KIND, form(*(HEAD + b"a\r\n\r\n1",) * 33), "32"),
    ],
)
def test_what_is_no_form_is_refused(kind: str, body: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says) as refused:
        read(body, kind)
    assert (refused.value.status, refused.value.code) == (400, "invalid_form")


@pytest.mark.parametrize(
    "body",
    [
        b"\n" * 2_000_000 + form(HEAD + b"a\r\n\r\n1"),
        b"\r\n" * 1_000_000 + form(HEAD + b"a\r\n\r\n1"),
        form(HEAD + b"a\r\n\r\n" + b"\r\n--" * 500_000),
        form(HEAD + b"a\r\nContent-Transfer-Encoding: base64\r\n\r\n" + (b"!A" + b"!" * 8000) * 250),
        form(*[HEAD + b'"' + b";" * 4000 + b'"\r\n\r\n1'] * 30),
        form(*[HEAD + b'"' + b'\\"' * 2000 + b"\r\n\r\n1"] * 30),
        form(HEAD + b"a\r\n\r\n1") + b"--x\r\n" * 400_000,
        form(b"X: a\r\n" * 300_000 + b"\r\n1"),
    ],
)
def test_no_form_takes_a_step_for_each_of_its_lines(body: bytes) -> None:
    """While a form is taken apart nobody else is answered."""

    def take_apart() -> None:
        with suppress(RequestError):
            read(body)

    assert steps_of(take_apart) < 5000
