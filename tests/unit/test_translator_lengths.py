# ruff: noqa: RUF001  (marks of many scripts)
"""Omissions, sentences cut short, inventions, and letters of the wrong script."""

import csv
from importlib import resources

import pytest

from translator.checks.checks import find_issues, find_remarks
from translator.checks.lengths import expected, measured
from translator.languages import known

ENGLISH = "We waited for an hour at the old station."


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("fra_Latn", "Nous avons attendu une heure à la vieille gare,"),
        ("deu_Latn", "Wir warteten eine Stunde am alten Bahnhof –"),
        ("spa_Latn", "Esperamos una hora en la vieja estación:"),
        ("ita_Latn", "Abbiamo aspettato un'ora alla vecchia stazione;"),
        ("zho_Hans", "我们在那个古老的车站等了整整一个小时，"),
        ("jpn_Jpan", "私たちは古い駅で一時間待っていました、"),
        ("arb_Arab", "انتظرنا ساعة كاملة في المحطة القديمة،"),
        ("amh_Ethi", "በድሮው ጣቢያ ለአንድ ሰዓት ያህል ጠበቅን፣"),
        ("mya_Mymr", "ကျွန်ုပ်တို့သည် ဘူတာရုံဟောင်းတွင် တစ်နာရီစောင့်ခဲ့သည်၊"),
    ],
)
def test_a_sentence_that_ends_with_a_comma_is_cut_short(target: str, text: str) -> None:
    (found,) = find_issues(ENGLISH, text, ("eng_Latn", target))
    assert found == f"cut short: it ends with {text[-1]!r}"
    assert not find_issues(ENGLISH.rstrip("."), text, ("eng_Latn", target))


def test_a_quote_is_cut_short_within_its_marks() -> None:
    (found,) = find_issues('"We wait for you."', "„Wir warten auf dich,“", ("eng_Latn", "deu_Latn"))
    assert found == "cut short: it ends with ','"


@pytest.mark.parametrize(
    ("target", "source", "text"),
    [
        ("hye_Armn", ENGLISH, "Մենք մեկ ժամ սպասեցինք հին կայարանում:"),
        ("amh_Ethi", ENGLISH, "በድሮው ጣቢያ ለአንድ ሰዓት ያህል ጠበቅን፡፡"),
        ("ell_Grek", "Did we wait at the old station?", "Περιμέναμε στον παλιό σταθμό;"),
        ("pes_Arab", '"We wait," he said to me.', "او به من گفت: «ما منتظر می‌مانیم،»"),
        ("ukr_Cyrl", "He waits here.", "Він чекає тут. —"),
        ("fra_Latn", "Visit us: https://example.org.", "Visitez-nous : https://example.org"),
    ],
)
def test_other_ends_are_whole(target: str, source: str, text: str) -> None:
    assert not any(found.startswith("cut") for found in find_issues(source, text, ("eng_Latn", target)))


@pytest.mark.parametrize(
    ("languages", "whole", "half"),
    [
        (("jpn_Jpan", "zho_Hans"), "他昨天去了东京，和朋友见面，一直聊到深夜。", "他昨天去了东京。"),
        (("zho_Hans", "jpn_Jpan"), "彼は昨日東京へ行き、友人と会って、夜遅くまで話をした。", "彼は昨日東京へ行った。"),
        (
            ("zho_Hans", "eng_Latn"),
            "He went to Tokyo, met friends and talked until late at night.",
            "He went to Tokyo.",
        ),
        (("eng_Latn", "pan_Guru"), "ਉਹ ਕੱਲ੍ਹ ਟੋਕੀਓ ਗਿਆ, ਦੋਸਤਾਂ ਨੂੰ ਮਿਲਿਆ ਅਤੇ ਦੇਰ ਰਾਤ ਤੱਕ ਗੱਲਾਂ ਕੀਤੀਆਂ।", "ਉਹ ਟੋਕੀਓ ਗਿਆ।"),
    ],
)
def test_half_a_sentence_is_too_short_by_the_measure_of_its_languages(
    languages: tuple[str, str], whole: str, half: str
) -> None:
    sources = {
        "jpn_Jpan": "彼は昨日東京へ行き、友人と会って、夜遅くまで話をした。",
        "zho_Hans": "他昨天去了东京，和朋友见面，一直聊到深夜。",
        "eng_Latn": "He went to Tokyo yesterday, met friends and talked until late at night.",
    }
    assert find_issues(sources[languages[0]], whole, languages) == ()
    (found,) = find_issues(sources[languages[0]], half, languages)
    assert found.startswith("too short")


@pytest.mark.parametrize(("target", "text"), [("zho_Hans", "谢谢。"), ("eng_Latn", "Thanks.")])
def test_a_greeting_may_be_short(target: str, text: str) -> None:
    assert find_issues("ありがとうございます。", text, ("jpn_Jpan", target)) == ()


def test_languages_that_were_not_measured_are_given_more_room() -> None:
    source = "This is my old house and I have lived here for many years with my family."
    text = "यह मेरा घर है और मैं यहाँ रहता हूँ"
    assert find_issues(source, text, ("eng_Latn", "hin_Deva"))[0].startswith("too short")
    assert find_issues(source, text, ("eng_Latn", "bho_Deva")) == ()


def test_labels_may_be_translated_in_their_brackets() -> None:
    source, languages = "[SCENE12] He runs.", ("eng_Latn", "rus_Cyrl")
    assert find_issues(source, "[СЦЕНА12] Он бежит.", languages) == ()
    assert find_issues(source, "Он бежит.", languages) == ("too short: without '[SCENE12]'",)


def test_lengths_are_those_of_the_pair_or_of_its_neighbours() -> None:
    rows = resources.files("translator.checks").joinpath("length_ratios.tsv").read_text(encoding="utf-8").splitlines()
    table = {row["code"]: float(row["ratio"]) for row in csv.DictReader(rows, delimiter="\t")}
    assert len(table) > 100
    assert set(table) <= set(known())
    assert expected("eng_Latn", "deu_Latn") == table["deu_Latn"]
    assert expected("deu_Latn", "eng_Latn") == pytest.approx(1 / table["deu_Latn"])
    assert expected("eng_Latn", "arz_Arab") == table["arb_Arab"]  # not in the table, and Arabic is
    assert 0.5 < expected("eng_Latn", "bho_Deva") < 0.8  # as long as its neighbours in the same script
    assert expected("eng_Latn", "sat_Olck") == 1.0


@pytest.mark.parametrize(
    ("languages", "source", "text"),
    [
        (("eng_Latn", "spa_Latn"), "Thank you", "Gracias, señor. - Gracias"),
        (("fra_Latn", "eng_Latn"), "Bonjour", "What's going on?"),
        (("eng_Latn", "ces_Latn"), "Why?", "- Proč? - Proč?"),
        (("eng_Latn", "heb_Hebr"), "Why?", "-למה? -אני לא יודע."),
        (("eng_Latn", "ces_Latn"), "It worked.", "- Fungovalo to."),
        (("eng_Latn", "zho_Hans"), "Okay.", "好了. 现在我们来看看."),
    ],
)
def test_what_a_word_has_no_cause_for_is_invented(languages: tuple[str, str], source: str, text: str) -> None:
    assert any(found.startswith("invented") for found in find_issues(source, text, languages))


@pytest.mark.parametrize(
    ("target", "source", "text"),
    [
        ("fra_Latn", "Hello!", "Bonjour !"),
        ("spa_Latn", "Why?", "¿Por qué?"),
        ("hun_Latn", '"We are a poor country."', "– Szegény ország vagyunk."),
        ("fra_Latn", "- Why?", "- Pourquoi ?"),
        ("fra_Latn", "Okay", "D'accord."),
        ("deu_Latn", "e.g. cars", "z. B. Autos"),
        ("fra_Latn", "well-known", "bien connu"),
        ("jpn_Jpan", "5 lbs", "2.3キロ"),
    ],
)
def test_signs_that_the_source_has_are_not_invented(target: str, source: str, text: str) -> None:
    assert find_issues(source, text, ("eng_Latn", target)) == ()


@pytest.mark.parametrize(
    ("target", "source", "text"),
    [
        ("zho_Hans", "Q'orianka Kilcher plays the main role.", "Q'orianka Kilcher饰演主角。"),
        ("bod_Tibt", "Newport on the Levee is here.", "Newport on the Leveeའདིར་ཡོད།"),
        ("zho_Hans", "Visit example.com today.", "今天就访问example.com。"),
        ("rus_Cyrl", "Photo: primeminister.kz", "Фото: primeminister.kz"),
        ("jpn_Jpan", "It is a complete PITA.", "完全にPITAだ"),
        ("zho_Hans", "I love #flutter and @mobx on ＡＢＣ.", "我喜欢ABC上的#flutter和@mobx。"),
        ("heb_Hebr", "Not like other tomb raider games", "לא כמו משחקים אחרים של Tomb Raider"),
        ("heb_Hebr", "This is the tomb raider game.", "המשחק Tomb Raider"),
        ("srp_Cyrl", "He was resolute and determined.", "Биo je oдлучaн и рeшeн."),
        ("pan_Guru", "More than 1,100 came.", "੧,੧੦੦ ਤੋਂ ਵੱਧ ਆਏ।"),
        (
            "kan_Knda",
            "Europeans lived in Ullern, Vestre Aker and Stovner.",
            "Ullern, Vestre Aker, Stovner ನಲ್ಲಿ ಯುರೋಪಿಯನ್ನರು.",
        ),
    ],
)
def test_names_in_latin_letters_are_no_wrong_script(target: str, source: str, text: str) -> None:
    assert not any(found.startswith("wrong") for found in find_issues(source, text, ("eng_Latn", target)))


@pytest.mark.parametrize(
    ("target", "text"),
    [("jpn_Jpan", "#rewindの＠foo_barをフォローしよう。"), ("zho_Hans", "关注#rewind和@foo_bar吧。")],
)
def test_words_may_follow_what_is_protected(target: str, text: str) -> None:
    assert find_issues("Follow @foo_bar on #rewind.", text, ("eng_Latn", target)) == ()
    (found,) = find_issues("Follow @foo_bar on #rewind.", text.replace("#rewind", ""), ("eng_Latn", target))
    assert found == "lost: #rewind"


SPOKEN = "Well, this is a <laugh/> summary of all that we have said here."


@pytest.mark.parametrize(
    ("text", "issues", "remarks"),
    [
        ("Eh bien, ceci est un <rires/> résumé de tout ce que nous avons dit ici.", (), ()),
        ("Eh bien, ceci est un résumé de tout ce que nous avons dit ici.", (), ("left out: <laugh/>",)),
        ("Ceci résume tout ce que nous avons dit.", ("too short: without '<laugh/>'",), ("left out: <laugh/>",)),
    ],
)
def test_tags_that_are_no_html_may_be_translated_or_left_out(
    text: str, issues: tuple[str, ...], remarks: tuple[str, ...]
) -> None:
    assert find_issues(SPOKEN, text, ("eng_Latn", "fra_Latn")) == issues
    assert find_remarks(SPOKEN, text, ("eng_Latn", "fra_Latn")) == remarks


@pytest.mark.parametrize("tag", ["<em>", '<slot name="a">', "<x-card size=2>", '<g id="1"/>'])
def test_markup_must_stay(tag: str) -> None:
    pair = ("eng_Latn", "fra_Latn")
    assert find_issues(f"A {tag} summary.", f"Un {tag} résumé.", pair) == ()
    assert find_issues(f"A {tag} summary.", "Un long résumé de cela.", pair) == (f"lost: {tag}",)


def test_a_label_is_an_issue_where_it_is_much_of_the_sentence() -> None:
    source, text = "(SPEAKER4) We have this corpus of sentence pairs.", "Nous avons ce corpus de phrases."
    assert find_issues(source, text, ("eng_Latn", "fra_Latn")) == ()
    assert find_remarks(source, text, ("eng_Latn", "fra_Latn")) == ("left out: (SPEAKER4)",)
    (found,) = find_issues("(SPEAKER4) Okay.", "D'accord.", ("eng_Latn", "fra_Latn"))
    assert found == "too short: without '(SPEAKER4)'"


def test_in_chinese_and_japanese_marks_digits_and_spaces_are_as_long_as_letters() -> None:
    pair = ("eng_Latn", "jpn_Jpan")
    assert measured("a, 2", "漢、２ 字", pair) == (9.0, pytest.approx(5 * 2.8))
    assert measured("漢、字", "a, 2", ("jpn_Jpan", "eng_Latn")) == (pytest.approx(5.6), 2.0)
    assert measured("a, 2", "a, 2", ("eng_Latn", "fra_Latn")) == (2.0, 2.0)
    source = "Red, blue, green, black, white, pink, gold, 4, 5, 6."
    assert find_issues(source, "赤、青、緑、黒、白、桃、金、4、5、6。", pair) == ()
