"""Which tokens are searched for a translation into some scripts."""

from pathlib import Path

import pytest

from translator.languages import known
from translator.model.vocabulary import mapped, tokens_of
from translator.text import scripts


@pytest.mark.parametrize(
    ("token", "chosen", "stays"),
    [
        ("▁maison", ["Deva"], True),  # names are written in Latin everywhere
        ("▁ở", ["Deva"], True),
        ("▁दृश्य", ["Deva"], True),
        ("▁दृश्य", ["Cyrl"], False),
        ("\u093f", ["Cyrl"], False),  # a vowel sign alone
        ("\u0301", ["Cyrl"], True),  # a combining accent is of no script
        ("▁дом", ["Deva"], False),
        ("Aд", ["Deva"], False),
        ("漢字", ["Jpan"], True),
        ("カナ", ["Hans"], False),
        ("▁123", ["Deva"], True),
        ("€", ["Deva"], True),
        ("🎉", ["Deva"], True),
        ("。", ["Deva"], True),
        ("µ", ["Deva"], True),
        ("<pad>", ["Deva"], False),
        ("<", ["Deva"], True),
        ("a b", ["Deva"], False),  # the map's format cannot hold it
        ("fra_Latn", ["Deva"], True),
    ],
)
def test_tokens_with_foreign_letters_are_left_out(token: str, chosen: list[str], stays: bool) -> None:
    assert (token in tokens_of([token], chosen)) is stays


def test_each_language_of_nllb_has_a_known_script() -> None:
    assert {scripts.script_of(code) for code in known()} == set(scripts.known())


def test_the_map_stands_beside_links_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "vmap.txt").write_text("of somebody else")
    with mapped(tmp_path, {"b", "a"}) as place:
        assert (place / "model.bin").read_bytes() == b"weights"
        assert (place / "vmap.txt").read_text() == "\ta b\n"
    assert not place.exists()
    assert (tmp_path / "vmap.txt").read_text() == "of somebody else"
