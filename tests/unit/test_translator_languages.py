"""The table of NLLB's languages, and what a model has of it."""

import re

import pytest

from translator.languages import Language, Languages, UnknownLanguageError, known


def test_the_table_has_all_of_nllb_with_distinct_tags_and_names() -> None:
    table = known()
    assert len(table) == 202
    assert all(re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", code) for code in table)
    assert len({language.tag for language in table.values()}) == 202
    assert len({language.name for language in table.values()}) == 202


def test_tags_carry_a_script_only_where_nllb_has_several() -> None:
    table = known()
    assert table["spa_Latn"] == Language("spa_Latn", "es", "Spanish")
    assert table["zho_Hant"].tag == "zh-Hant"
    assert table["zho_Hant"].primary == "zh"


def test_a_model_has_only_the_languages_of_its_vocabulary() -> None:
    languages = Languages({"</s>", "fra_Latn", "deu_Latn", "▁red", "xxx_Latn"})
    assert [language.code for language in languages.all] == ["deu_Latn", "fra_Latn"]
    assert languages.find("fra_Latn").name == "French"


@pytest.mark.parametrize("code", ["spa_Latn", "xxx_Latn", "fr", "", "</s>", "▁red"])
def test_other_codes_are_refused_by_name(code: str) -> None:
    languages = Languages({"</s>", "fra_Latn", "deu_Latn", "▁red"})
    with pytest.raises(UnknownLanguageError, match=re.escape(repr(code))) as caught:
        languages.find(code)
    assert "GET /languages" in str(caught.value)
