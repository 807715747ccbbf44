# ruff: noqa: RUF001  (signs of many scripts)
"""Languages that are typed by their own names: the code is told."""

from __future__ import annotations

import unicodedata

import pytest

from client.endpoints.language_names import check_languages, known_codes, language_name
from client.errors import LanguageError

OWN = {
    "deutsch": "deu_Latn",
    "Deutsch": "deu_Latn",
    "Deutsh": "deu_Latn",
    "français": "fra_Latn",
    "francais": "fra_Latn",
    "español": "spa_Latn",
    "espanol": "spa_Latn",
    "Português": "por_Latn",
    "中文": "zho_Hans",
    "中文（繁體）": "zho_Hant",
    "日本語": "jpn_Jpan",
    "हिन्दी": "hin_Deva",
    "русский": "rus_Cyrl",
    "العربية": "arb_Arab",
    "norsk": "nob_Latn",
    "isiZulu": "zul_Latn",
    "dutch": "nld_Latn",
    "German": "deu_Latn",
    "nederlands": "nld_Latn",
}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(("name", "code"), OWN.items())
def test_the_code_is_told(name: str, code: str, form: str) -> None:
    typed = unicodedata.normalize(form, name)  # type: ignore[arg-type]  # one of its forms
    with pytest.raises(LanguageError) as told:
        check_languages([typed], known_codes())
    assert f"did you mean {code}?)" in str(told.value)


def test_every_english_name_means_its_language() -> None:
    with pytest.raises(LanguageError) as told:
        check_languages(map(language_name, known_codes()), known_codes())
    for code in known_codes():
        assert f"{language_name(code)} (did you mean {code}?)" in str(told.value)
