"""The table of NLLB's languages, what tags mean, and what a model has of it."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.errors import UnknownLanguageError, UnsupportedScriptError
from translator.languages import Language, Languages, known, read_tag

ALL = list(known().values())


def test_the_table_has_all_of_nllb_with_distinct_tags_and_names() -> None:
    table = known()
    assert len(table) == 202
    assert all(re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", code) for code in table)
    assert len({language.tag for language in table.values()}) == 202
    assert len({language.name for language in table.values()}) == 202


def test_tags_carry_a_script_only_where_nllb_has_several() -> None:
    table = known()
    assert table["spa_Latn"] == Language("spa_Latn", "es", "Spanish", ("spa",))
    assert table["zho_Hant"].tag == "zh-Hant"
    assert (table["zho_Hant"].primary, table["zho_Hant"].script) == ("zh", "Hant")


def bare_codes(language: Language) -> list[str]:
    """The codes of a language that leave the script out."""
    return [language.primary, language.code.partition("_")[0], *language.iso]


def whole_codes(language: Language) -> list[str]:
    """The codes of a language that name its script, or need not."""
    return [language.code, language.tag, *(f"{code}-{language.script}" for code in bare_codes(language))]


def test_every_language_is_found_by_each_of_its_codes() -> None:
    found = {(language.code, code): read_tag(code).code for language in ALL for code in whole_codes(language)}
    assert {asked: code for asked, code in found.items() if asked[0] != code} == {}


def test_a_code_without_a_script_means_its_language_in_a_script_that_goes_without_saying() -> None:
    found = [(language, code, read_tag(code)) for language in ALL for code in bare_codes(language)]
    assert [code for language, code, read in found if read.primary != language.primary] == []
    assert [code for language, code, read in found if read != language and read.script == language.script] == []


@given(st.sampled_from([code for language in ALL for code in whole_codes(language)]), st.data())
def test_letter_case_and_the_separator_do_not_matter(code: str, data: st.DataObject) -> None:
    written = "".join(
        data.draw(st.sampled_from("-_" if character in "-_" else [character.lower(), character.upper()]))
        for character in code
    )
    assert read_tag(written) == read_tag(code)


def test_a_bare_code_means_the_same_script_by_any_name() -> None:
    counts = Counter(language.primary for language in ALL)
    several = {language.primary: language for language in ALL if counts[language.primary] > 1}
    assert set(several) == {"ace", "bjn", "knc", "ks", "taq", "zh"}
    usual = {"ace_Latn", "bjn_Latn", "knc_Latn", "kas_Arab", "taq_Latn", "zho_Hans"}
    assert {read_tag(code).code for code in several} == usual
    for language in several.values():
        assert {read_tag(code) for code in language.iso} <= {read_tag(language.primary)}


MEANS = {
    "ar": "arb_Arab",
    "ar-EG": "arz_Arab",
    "ar-MA": "ary_Arab",
    "ar-SA": "arb_Arab",
    "az": "azj_Latn",
    "az-IR": "azb_Arab",
    "az_Arab": "azb_Arab",
    "ca-valencia": "cat_Latn",
    "ckb": "ckb_Arab",
    "de-CH-1996": "deu_Latn",
    "en-US-u-ca-gregory": "eng_Latn",
    "es-419": "spa_Latn",
    "fa-AF": "prs_Arab",
    "fil": "tgl_Latn",
    "fr-CA": "fra_Latn",
    "ger": "deu_Latn",
    "in": "ind_Latn",
    "iw": "heb_Hebr",
    "ji": "ydd_Hebr",
    "jw": "jav_Latn",
    "kr": "knc_Latn",
    "ko-Kore": "kor_Hang",
    "ku": "kmr_Latn",
    "ku-IQ": "ckb_Arab",
    "mo": "ron_Latn",
    "ms": "zsm_Latn",
    "no": "nob_Latn",
    "nn-NO": "nno_Latn",
    "pb": "por_Latn",
    "ps": "pbt_Arab",
    "pt-BR": "por_Latn",
    "qu": "quy_Latn",
    "sat_Olck": "sat_Beng",
    "sq": "als_Latn",
    "sr": "srp_Cyrl",
    "sr-RS": "srp_Cyrl",
    "sw": "swh_Latn",
    "yue-HK": "yue_Hant",
    "zh": "zho_Hans",
    "zh-CN": "zho_Hans",
    "zh-HK": "zho_Hant",
    "zh-Hans-HK": "zho_Hans",
    "zh-Hant": "zho_Hant",
    "zh-TW": "zho_Hant",
    "zh-yue": "yue_Hant",
    "zt": "zho_Hant",
}


@pytest.mark.parametrize(("tag", "code"), MEANS.items())
def test_tags_mean_what_their_users_mean(tag: str, code: str) -> None:
    assert {read_tag(case(tag)).code for case in (str, str.lower, str.upper)} == {code}


@pytest.mark.parametrize(
    ("tag", "has"),
    [
        ("sr-Latn", "srp_Cyrl"),
        ("srp_Latn", "srp_Cyrl"),
        ("sr-latn-RS", "srp_Cyrl"),
        ("sr-ME", "srp_Cyrl"),
        ("sh", "srp_Cyrl"),
        ("bs-Cyrl", "bos_Latn"),
        ("pa-PK", "pan_Guru"),
        ("uz_Cyrl", "uzn_Latn"),
        ("hi-Latn", "hin_Deva"),
        ("min_Arab", "min_Latn"),
        ("arb_Latn", "arb_Arab"),
        ("mni-Mtei", "mni_Beng"),
        ("yue-CN", "yue_Hant"),
        ("zh-Latn", "zho_Hans and zho_Hant"),
    ],
)
def test_a_script_that_nllb_lacks_is_refused_never_replaced(tag: str, has: str) -> None:
    with pytest.raises(UnsupportedScriptError, match=f"unknown language '{tag}'.* {has}"):
        read_tag(tag)


@given(
    st.sampled_from(ALL),
    st.sampled_from(["Latn", "Cyrl", "Arab", "Deva", "Hans", "Hant", "Beng", "Tfng"]),
    st.sampled_from(["", "-RS", "-TW", "-EG", "-001", "-CN"]),
)
def test_what_is_found_has_the_script_that_was_named(language: Language, script: str, region: str) -> None:
    try:
        found = read_tag(f"{language.primary}-{script}{region}")
    except UnsupportedScriptError:
        return
    assert found.script == script


@given(st.text(max_size=60) | st.from_regex(r"[a-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,3}", fullmatch=True))
def test_any_text_is_a_language_or_refused_by_name(code: str) -> None:
    try:
        found = Languages(known()).find(code).code
    except UnknownLanguageError as error:
        found = str(error)
    assert found in known() or repr(code)[:30] in found
    assert len(found) < 400


def test_a_model_has_only_the_languages_of_its_vocabulary() -> None:
    languages = Languages({"</s>", "fra_Latn", "deu_Latn", "▁red", "xxx_Latn"})
    assert [language.code for language in languages.all] == ["deu_Latn", "fra_Latn"]
    assert languages.find("fra_Latn").name == languages.find("fr").name == "French"
    with pytest.raises(UnknownLanguageError, match="does not have Spanish, spa_Latn"):
        languages.find("es")


@pytest.mark.parametrize("code", ["xxx_Latn", "", "</s>", "▁red", "sr-RS-Latn", "x" * 100_000])
def test_other_codes_are_refused_by_name(code: str) -> None:
    languages = Languages({"</s>", "fra_Latn", "deu_Latn", "▁red"})
    with pytest.raises(UnknownLanguageError, match=re.escape(repr(code)[:30])) as caught:
        languages.find(code)
    assert "GET /languages" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "near"), [("french", "fra_Latn"), ("frLatn", "fra_Latn"), ("fra_Lat", "fra_Latn"), ("germn", "deu_Latn")]
)
def test_a_near_code_is_named(code: str, near: str) -> None:
    with pytest.raises(UnknownLanguageError, match=rf"did you mean .*{near} \("):
        Languages({"fra_Latn", "deu_Latn", "ita_Latn"}).find(code)
