# ruff: noqa: RUF001  (digits and marks of many scripts)
"""Numbers that stay, that are given otherwise, and that are lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.checks.checks import find_issues, find_remarks
from translator.checks.magnitudes import after
from translator.checks.numbers import loosely, normalized, numbers
from translator.checks.quantities import compare, lost
from translator.checks.spelled import can_be_spelled, is_spelled, roman
from translator.languages import known

SAME = [
    # Clock times.
    ("fra_Latn", "The train leaves at 7.55am.", "Le train part à 7h55."),
    ("jpn_Jpan", "He came at 1.30pm.", "彼は１時半頃に来た。"),
    ("jpn_Jpan", "He came at 1.30pm on his birthday.", "彼は誕生日の9日、１時半頃に来た。"),
    ("deu_Latn", "It opens at 7.30.", "Es öffnet um 19.30 Uhr."),
    ("deu_Latn", "Open 7-8pm daily.", "Täglich von 19 bis 20 Uhr geöffnet."),
    ("fra_Latn", "At 12:30 a.m. it rained.", "Il a plu à 0h30."),
    ("deu_Latn", "He fell at 5 o'clock.", "Er fiel um 17 Uhr."),
    ("rus_Cyrl", "At 0100 GMT they voted.", "В 1:00 по Гринвичу они голосовали."),
    ("swh_Latn", "He arrived at 2pm.", "Alifika saa 8 mchana."),
    # Joined numbers, magnitudes, other digits.
    ("jpn_Jpan", "17,631 people live there.", "そこには１万７千６３１人が住んでいる。"),
    ("jpn_Jpan", "He ran 2,000 metres.", "彼は２千メートル走った。"),
    ("jpn_Jpan", "It costs 30 million yen.", "それは３千万円だ。"),
    ("zho_Hans", "More than 1,100 people came.", "一千一百多人来了。"),
    ("kor_Hang", "The price is 17,000 won.", "가격은 1만 7천 원이다."),
    ("tat_Cyrl", "More than 1,100 people came.", "1 мең 100дән артык кеше килде."),
    ("spa_Latn", "It costs $200 billion.", "Cuesta 200 mil millones de dólares."),
    ("urd_Arab", "It has 5 million members.", "اس کے 50 لاکھ ارکان ہیں۔"),
    ("swh_Latn", "It has 700,000 people.", "Ina watu elfu 700."),
    ("swh_Latn", "It has 1,700,000 people.", "Ina watu milioni 1.7."),
    ("mya_Mymr", "In 2018 he left.", "၂ဝ၁၈ တွင် သူထွက်ခွာခဲ့သည်။"),
    ("jpn_Jpan", "It takes 2-3 days.", "２，３日かかります。"),
    ("plt_Latn", "It costs 1,100 francs.", "1, 100 francs no vidiny."),
    ("pes_Arab", "It grew 2.8 per cent.", "۲/۸ درصد رشد کرد."),
    ("deu_Latn", "The score was 10½ to 6½.", "Es stand 10,5 zu 6,5."),
    ("deu_Latn", "The score was 10.5 to 6.5.", "Es stand 10 1/2 zu 6 1/2."),
    ("jpn_Jpan", "It has 3 1/2 stars.", "評価は星3.5個だ。"),
    ("rus_Cyrl", "It has 3 1/2 stars.", "У него три с половиной звезды."),
    ("ukr_Cyrl", "It has 3 1/2 stars.", "У нього 3\u00a01/2 зірки."),
    ("zho_Hans", "After COVID-19 it fell.", "新冠疫情后，它下降了。"),
    # In words and in Roman numerals.
    ("deu_Latn", "Willoughby, 37, left.", "Die siebenunddreißigjährige Willoughby ging."),
    ("ces_Latn", "Willoughby, 37, left.", "Sedmatřicetiletá Willoughbyová odešla."),
    ("ron_Latn", "It was his 47th match.", "A fost al patruzeci și șaptelea meci."),
    ("spa_Latn", "Save 50% today.", "Ahorre el cincuenta por ciento hoy."),
    ("spa_Latn", "Only $9", "Solo nueve dólares"),
    ("deu_Latn", "He fought in WW2.", "Er kämpfte im Zweiten Weltkrieg."),
    ("spa_Latn", "It is from the 19th century.", "Es del siglo XIX."),
    ("spa_Latn", "It is from the 21st century.", "Es del siglo XXI."),
    ("rus_Cyrl", "It is from the 19th century.", "Это ХІХ век."),
    ("rus_Cyrl", "It cost $1.5 million.", "Он стоил полтора миллиона долларов."),
    ("deu_Latn", "In the 1980s he left.", "In den Achtzigern ging er."),
    ("lit_Latn", "In the 1980s he left.", "Jis išvyko 9-ame dešimtmetyje."),
    ("fra_Latn", "It is from the 21st century.", "Il est du XXIe siècle."),
    ("deu_Latn", "In the 1500s it was built.", "Im 16. Jahrhundert wurde es gebaut."),
    ("ita_Latn", "In the 1500s it was built.", "Fu costruito nel Cinquecento."),
    # Discounts by what is left to pay.
    ("zho_Hans", "Save 30% today.", "今天享受7折优惠。"),
    ("zho_Hant", "15% off everything", "全場85折"),
    ("zho_Hans", "15% off everything", "全场八五折"),
    ("jpn_Jpan", "50% off", "半額"),
    ("deu_Latn", "50% off", "zum halben Preis"),
    ("fra_Latn", "50% off", "à moitié prix"),
    ("deu_Latn", "24/7 service", "Service rund um die Uhr"),
    # Years and dates.
    ("fra_Latn", "The 2018-19 season begins.", "La saison 2018/2019 commence."),
    ("deu_Latn", "He was born in '98.", "Er wurde 1998 geboren."),
    ("jpn_Jpan", "On Sept. 28, 2 men left.", "9月28日、二人の男が去った。"),
    ("deu_Latn", "2 of the twenty-five men left.", "Zwei der 25 Männer gingen."),
    # Short codes are written in other letters.
    ("rus_Cyrl", "The G20 meets today.", "Сегодня встречается «Большая двадцатка» (Г20)."),
]
LOST = [
    ("spa_Latn", "Save 50% today.", "Ahorre hoy.", ["50"]),
    ("spa_Latn", "Only $9", "Solo", ["9"]),
    ("spa_Latn", "The iPhone 15 is here.", "El iPhone ya está aquí.", ["15"]),
    ("deu_Latn", "We use Windows 11 here.", "Wir nutzen hier Windows.", ["11"]),
    ("fra_Latn", "It is 5 miles away.", "C'est à 12 km.", ["5"]),
    ("fra_Latn", "He came at 7.55am.", "Il est venu à 7h35.", ["55"]),
    ("fra_Latn", "It cost $1.7 million.", "Cela a coûté 17 millions de dollars.", ["1.7"]),
    ("deu_Latn", "He weighs 130 pounds.", "Er wiegt 240 kg.", ["130"]),
    ("jpn_Jpan", "17,631 people live there.", "そこには１万７千人が住んでいる。", ["17,631"]),
    ("tha_Thai", "In 2018 he left.", "เขาออกไปในปี 2560", ["2018"]),
    ("yor_Latn", "There are 139 of them.", "Wọ́n pọ̀.", ["139"]),
    ("zho_Hans", "It grew 30% today.", "今天增长了70%。", ["30"]),
    ("zho_Hans", "20% off everything", "全场七折", ["20"]),
    ("deu_Latn", "The 4K TV is here.", "Der Fernseher ist da.", ["4"]),
    ("fra_Latn", "The new 5G phone", "Le nouveau téléphone", ["5"]),
    ("por_Latn", "Windows 11 is here.", "O Windows chegou.", ["11"]),
    ("pol_Latn", "Model 3 costs less.", "Ten model kosztuje mniej.", ["3"]),
]
INTO_ENGLISH = [
    ("zho_Hans", "8月有二十五人和3只狗。", "In August, there were 25 people and three dogs."),
    ("zho_Hans", "1.5亿人住在这里。", "150 million people live here."),
    ("zho_Hans", "约7成的人同意。", "About 70 percent of the people agree."),
    ("jpn_Jpan", "４割の人が５月２８日に来た。", "40 percent of the people came on May 28."),
    ("jpn_Jpan", "平成30年に始まった。", "It began in 2018."),
    ("jpn_Jpan", "午後15時に始まる。", "It starts at 3 p.m."),
    ("deu_Latn", "Am 08.03.2024 kamen 1,5 Mio. Menschen.", "On March 8, 2024, 1.5 million people came."),
    ("zho_Hans", "全场7折", "30% off everything"),
    ("zho_Hans", "全场85折", "85 percent of the price"),
    ("rus_Cyrl", "В 90-х было 12 000 человек.", "In the 1990s there were 12,000 people."),
]
CONVERTED = [
    ("fra_Latn", "It is 5 miles away.", "C'est à 8 km.", "units converted: 5"),
    ("ces_Latn", "I'm 5'5\" tall.", "Měřím 165 cm.", "units converted: 5'5\""),
    ("deu_Latn", "The 5ft 10in man left.", "Der 1,78 Meter große Mann ging.", "units converted: 5ft 10in"),
    ("nld_Latn", "1 to 2 inches of rain", "3 tot 5 cm regen", "units converted: 1, 2"),
    ("fra_Latn", "It was 80 degrees.", "Il faisait 27 degrés.", "units converted: 80"),
    (
        "ell_Grek",
        "It could reach 80 degrees, about 10 degrees above average.",
        "Μπορεί να φτάσει τους 27 βαθμούς, περίπου 5 πάνω από τον μέσο όρο.",
        "units converted: 80, 10",
    ),
    ("tha_Thai", "In 2018 he left.", "เขาออกไปในปี 2561", "units converted: 2018"),
    ("pes_Arab", "On June 19, 1953 he left.", "او در ۲۹ خرداد ۱۳۳۲ رفت.", "units converted: 1953, 19"),
    ("deu_Latn", "It costs $200 (£150) now.", "Es kostet jetzt 200 Dollar.", "left out: 150"),
]


@pytest.mark.parametrize(("target", "source", "text"), SAME)
def test_a_number_may_be_said_in_another_way(target: str, source: str, text: str) -> None:
    found = compare(source, text, ("eng_Latn", target))
    assert (found.lost, found.converted, found.left_out) == ([], [], [])


@pytest.mark.parametrize(("language", "source", "text"), INTO_ENGLISH)
def test_numbers_of_other_languages_in_english(language: str, source: str, text: str) -> None:
    assert lost(source, text, (language, "eng_Latn")) == []


@pytest.mark.parametrize(("target", "source", "text", "gone"), LOST)
def test_a_number_that_is_lost_or_changed_is_named(target: str, source: str, text: str, gone: list[str]) -> None:
    assert lost(source, text, ("eng_Latn", target)) == gone


@pytest.mark.parametrize(("target", "source", "text", "remark"), CONVERTED)
def test_units_calendars_and_second_figures_are_remarks_alone(target: str, source: str, text: str, remark: str) -> None:
    assert lost(source, text, ("eng_Latn", target)) == []
    assert find_remarks(source, text, ("eng_Latn", target)) == (remark,)


def test_codes_stay_as_they_are() -> None:
    pair = "Use code SAVE20 today.", ("eng_Latn", "spa_Latn")
    assert find_issues(pair[0], "Use el código SAVE20 hoy.", pair[1]) == ()
    (found,) = find_issues(pair[0], "Use el código AHORRE20 hoy.", pair[1])
    assert found == "lost: SAVE20"
    assert find_issues(pair[0], "Use el código SAVE200 hoy.", pair[1])


@pytest.mark.parametrize(
    ("language", "spelled", "other"),
    [("deu_Latn", "siebenunddreißig", "sechsunddreißig"), ("fra_Latn", "trente-sept", "trente-six")],
)
def test_numerals_of_other_languages(language: str, spelled: str, other: str) -> None:
    (number,) = numbers("37")
    (value,) = number.readings
    assert is_spelled(value, f"Er ist {spelled.upper()}.", language)
    assert not is_spelled(value, f"Er ist {other}.", language)
    assert not is_spelled(-value, spelled, language)


def test_languages_without_numerals() -> None:
    assert can_be_spelled("deu_Latn")
    assert not can_be_spelled("yor_Latn")
    assert not can_be_spelled("xxx_Xxxx")


def test_roman_numerals() -> None:
    assert list(map(int, roman("XIX, IV and MIX, I and ІХ"))) == [19, 4, 1, 9]
    assert list(map(int, roman("le XXIe siècle, Le Ve"))) == [21]


@pytest.mark.parametrize(
    ("text", "language", "factor", "end"),
    [
        (" million people", "en", 10**6, 8),
        (" mil millones", "es", 10**9, 13),
        ("千万円", "ja", 10**7, 2),
        (" миллиардами", "ru", 10**9, 12),
        (" people", "en", None, 0),
    ],
)
def test_words_of_magnitude_multiply(text: str, language: str, factor: int | None, end: int) -> None:
    assert after(text, 0, language) == (factor, end)


@given(
    st.text("0123456789.,:'-/ 万億千百一二〇kmp٣९½¼℃ \"()$%°CF") | st.text(),
    st.text(),
    st.sampled_from(sorted(known())),
)
def test_any_text_is_compared_and_nothing_is_lost_from_itself(source: str, text: str, code: str) -> None:
    compare(source, text, ("eng_Latn", code))
    assert lost(source, source, ("eng_Latn", code)) == []
    whole = normalized(source)
    loosely(whole, numbers(whole))
