"""A multipart form (RFC 7578): its files go to the disk as they come, its other fields say what is asked."""

from __future__ import annotations

import logging
import re
from typing import IO, TYPE_CHECKING, Any

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from client.captioner.api_types import OPTIONS, Asking, CaptionRequest, Item
from client.captioner.json_body import wrong_type
from client.errors import RejectedError
from client.sources.source import printable, url_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from client.captioner.config import Limits

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it writes what was sent into the log

FILES = frozenset({"file", "image", "video", "videos", "audio", "frames"})
_LISTS = frozenset({"tasks", "languages"})
"""May be given as one text with commas, too."""
_REPEATED = frozenset({*_LISTS, "questions"})
HISTORY = "history"
"""As JSON."""
_TEXT_FIELDS = frozenset({*OPTIONS, HISTORY, "stream"})
_TEXT_BYTES, _TEXTS = 64 << 10, 64
"""Of all fields that are no files, together, and how many."""
_NAME_CHARACTERS = 200
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")


class FormReader:
    """Takes a form apart while it comes."""

    def __init__(self, content_type: str, folder: Path, limits: Limits) -> None:
        """Files are written into `folder`.

        Raises:
            RejectedError: 400, the content type has no boundary.
        """
        self._folder, self._limits = folder, limits
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise _wrong("the content type of a form needs a boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._all,
                },
            )
        except FormParserError as error:
            raise _wrong(str(error)) from error
        self._texts: dict[str, list[str]] = {}
        self._files: list[tuple[str, str, str]] = []
        """Field, name as it was given, name in the folder."""
        self._text_count = self._text_bytes = 0
        self._file: IO[bytes] | None = None
        self._text = bytearray()
        self._name = ""
        self._header, self._value, self._headers = bytearray(), bytearray(), dict[bytes, bytes]()
        self._whole = False

    def write(self, block: bytes) -> None:
        """The next bytes of the body.

        Raises:
            RejectedError: 400 or 413, it is no such form.
        """
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise _wrong(f"the body is no multipart form: {error}") from error

    def end(self) -> tuple[CaptionRequest, list[Item]]:
        """What is asked, and the files.

        Raises:
            RejectedError: 400, something is missing, or wrong.
        """
        if not self._whole:
            raise _wrong("the body is no multipart form: it does not end with its boundary")
        values: dict[str, Any] = {}
        for name, texts in self._texts.items():
            if name in _REPEATED:
                parts = [part for text in texts for part in (text.split(",") if name in _LISTS else [text])]
                values[name] = [part.strip() for part in parts if part.strip()]
            elif name == HISTORY and len(texts) == 1:
                values[name] = _json(name, texts[0])
            elif len(texts) > 1:
                raise RejectedError(400, f"{name} is given {len(texts)} times", param=name, code="invalid_parameter")
            else:
                values[name] = texts[0]
        try:
            asked = msgspec.convert(values, CaptionRequest, strict=False)
            asking = msgspec.convert({k: v for k, v in values.items() if k != "stream"}, Asking, strict=False)
        except msgspec.ValidationError as error:
            raise wrong_type(error) from error
        items = [
            Item(name=shown, files=[file], asking=asking) for field, shown, file in self._files if field != "frames"
        ]
        if frames := [file for field, _, file in self._files if field == "frames"]:
            items.append(Item(name="frames", files=frames, frames=True, asking=asking))
        if not items:
            raise RejectedError(400, "the form has no file: give one in the field file", code="missing_media")
        return asked, items

    def close(self) -> None:
        """Close the file that was being written, if the form was broken off in it."""
        if self._file:
            self._file.close()
            self._file = None

    # -- called by the parser ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._headers.clear()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode(errors="replace").removesuffix("[]")
        if not self._name:
            raise _wrong("a part of the form has no name")
        if self._name not in FILES:
            if self._name not in _TEXT_FIELDS:
                name = _UNSEEN.sub("", self._name)[:60]
                message = f"there is no parameter {name}; files stand in the fields {', '.join(sorted(FILES))}"
                raise RejectedError(400, message, param=name, code="unknown_parameter")
            if b"filename" in options:
                message = f"{self._name}: is not a file; files stand in the fields {', '.join(sorted(FILES))}"
                raise RejectedError(400, message, param=self._name, code="invalid_parameter")
            if self._text_count == _TEXTS:  # also of one name: each costs time, be it empty
                raise _wrong(f"more than {_TEXTS} form fields")
            self._text_count += 1
            return
        if len(self._files) == self._limits.files:
            message = f"more than {self._limits.files} files"
            raise RejectedError(400, message, param=self._name, code="too_many_files")
        given = printable(options.get(b"filename", b"").decode(errors="replace"))
        given = _UNSEEN.sub("", given.replace("\\", "/").rpartition("/")[2])[-_NAME_CHARACTERS:]
        file = f"{len(self._files)}{url_suffix(given)}"
        self._files.append((self._name, given or self._name, file))
        self._file = (self._folder / file).open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file:
            self._file.write(memoryview(data)[start:end])
            return
        self._text_bytes += end - start
        if self._text_bytes > _TEXT_BYTES:
            message = f"{self._name}: the fields that are no files have more than {_TEXT_BYTES >> 10} KiB"
            raise RejectedError(413, message, param=self._name, code="request_too_large")
        self._text += data[start:end]

    def _end(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            message = f"{self._name}: the text is not in UTF-8"
            raise RejectedError(400, message, param=self._name, code="invalid_form") from None
        self._texts.setdefault(self._name, []).append(text)
        self._text.clear()

    def _all(self) -> None:
        self._whole = True


def _wrong(message: str) -> RejectedError:
    return RejectedError(400, message, code="invalid_form")


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RejectedError(400, f"{name} is not JSON: {error}", param=name, code="invalid_parameter") from error
