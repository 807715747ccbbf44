"""Which language a text is in, in which script."""
# ruff: noqa: RUF001

import sys

import pytest

from translator.detect import Detector
from translator.errors import DetectionError
from translator.languages import Languages, known


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(Languages(known()))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hello world", "eng_Latn"),
        ("This advertisement has three scenes.", "eng_Latn"),
        ("Cette publicité comporte trois scènes.", "fra_Latn"),
        ("Este anuncio tiene tres escenas.", "spa_Latn"),
        ("Das rote Auto biegt links ab.", "deu_Latn"),
        ("O carro vermelho vira à esquerda.", "por_Latn"),
        ("इस विज्ञापन में तीन दृश्य हैं।", "hin_Deva"),
        ("السيارة الحمراء تنعطف يسارا عند الزاوية.", "arb_Arab"),
        ("ماشین قرمز در گوشه به چپ می‌پیچد.", "pes_Arab"),
        ("Красная машина поворачивает налево.", "rus_Cyrl"),
        ("Червона машина повертає ліворуч.", "ukr_Cyrl"),
        ("Црвени аутомобил скреће лево на углу.", "srp_Cyrl"),
        ("赤い車が左に曲がる。", "jpn_Jpan"),
        ("빨간 차가 왼쪽으로 돈다.", "kor_Hang"),
        ("红色的汽车在拐角处向左转。", "zho_Hans"),
        ("紅色的汽車在轉角處向左轉。", "zho_Hant"),
        ("Kırmızı araba köşeden sola dönüyor.", "tur_Latn"),
        ("Chiếc xe màu đỏ rẽ trái ở góc đường.", "vie_Latn"),
        ("Το κόκκινο αυτοκίνητο στρίβει αριστερά.", "ell_Grek"),
        ("המכונית האדומה פונה שמאלה.", "heb_Hebr"),
    ],
)
def test_languages_are_told_apart(detector: Detector, text: str, code: str) -> None:
    best, *others = detector.guess(text)
    assert best.language.code == code
    assert 100 >= best.confidence >= max((guess.confidence for guess in others), default=0) >= 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("སློབ་གྲྭ་འདིར་སློབ་ཕྲུག་མང་པོ་ཡོད་པ་རེད།", "bod_Tibt"),
        ("እዚ ዓቢ ገዛ ኣብ ከተማ ኣስመራ ይርከብ እዩ።", "tir_Ethi"),
        ("ماڵی ئێمە لە شارێکی گەورەدایە و باخچەیەکی جوانی هەیە کە منداڵەکان یاری تێدا دەکەن.", "ckb_Arab"),
        ("ماڵەکە گەورەیە.", "ckb_Arab"),
        ("هيءَ ڳاڙهي گاڏي ڪنڊ تي کاٻي پاسي ڦري ٿي ۽ گهر جي سامهون بيهي ٿي.", "snd_Arab"),
        ("Ka huri te motokā whero ki te mauī, kātahi ka tū ki mua i te whare.", "mri_Latn"),
        ("Koloi e khibidu e fapogela kwa molemeng mme e ema fa pele ga ntlo.", "tsn_Latn"),
        ("E liliu le taavale mumu i le itu tauagavale ona tu lea i luma o le fale.", "smo_Latn"),
    ],
)
def test_languages_that_the_first_library_does_not_know(detector: Detector, text: str, code: str) -> None:
    best, *others = detector.guess(text)
    assert best.language.code == code
    assert best.confidence <= 95
    assert sum(guess.confidence for guess in (best, *others)) <= 100.5


@pytest.mark.parametrize(
    "text",
    [
        "小偷在 Newport on the Levee 趁著車主離開的時候偷走了汽車。",
        "他在 Manchester United Football Club 踢過三年足球。",
        "演員 Q'orianka Kilcher 在 Yellowstone 裡演出。",
    ],
)
def test_names_in_latin_letters_do_not_make_a_language(detector: Detector, text: str) -> None:
    assert detector.guess(text)[0].language.script == "Hant"


@pytest.mark.parametrize(
    ("text", "code", "most"),
    [
        ("ཁྱིམ་འདི་དཀརཔོ་ཨིན།", "dzo_Tibt", 70),  # too short to be told from Tibetan
        ("ቀይ መኪና", "amh_Ethi", 70),
        ("ماشین قرمز در گوشه به چپ می‌پیچد و روبروی خانه می‌ایستد.", "pes_Arab", 95),  # Dari is the same to both
        ("Poika leikkii siskonsa kanssa puutarhassa talon takana.", "fin_Latn", 100),
    ],
)
def test_no_confidence_where_neighbours_are_not_known(detector: Detector, text: str, code: str, most: float) -> None:
    best = detector.guess(text)[0]
    assert (best.language.code, best.confidence) == (code, most)


def test_what_both_libraries_find_is_sure(detector: Detector) -> None:
    best = detector.guess("ቀይ መኪናው በማዕዘኑ ወደ ግራ ይታጠፋል፣ ከዚያም በቤቱ ፊት ለፊት ይቆማል።")[0]
    assert (best.language.code, best.confidence) == ("amh_Ethi", 100)


def test_without_the_second_library_the_first_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycld2", None)
    detector = Detector(Languages(known()))
    best = detector.guess("སློབ་གྲྭ་འདིར་སློབ་ཕྲུག་མང་པོ་ཡོད་པ་རེད།")[0]
    assert (best.language.code, best.confidence) == ("dzo_Tibt", 70)
    assert detector.guess("The red car turns left at the corner.")[0].language.code == "eng_Latn"


@pytest.mark.parametrize(
    "text", ["\ud800 a long text that holds half a character", "\x00\x01 control characters in it"]
)
def test_no_text_upsets_the_second_library(detector: Detector, text: str) -> None:
    assert detector.guess(text)[0].language.code == "eng_Latn"


def test_serbian_in_latin_letters_is_what_nllb_can_read(detector: Detector) -> None:
    best, *_ = detector.guess("Crveni automobil skreće levo na uglu, a zatim staje ispred stare bele kuće.")
    assert best.language.code in ("hrv_Latn", "bos_Latn", "slv_Latn")


@pytest.mark.parametrize("text", ["", " \n", "12 + 3 = 15", "🎬 !", "\0"])
def test_text_without_letters_is_said_to_be_english_without_confidence(detector: Detector, text: str) -> None:
    (guess,) = detector.guess(text)
    assert (guess.language.code, guess.confidence) == ("eng_Latn", 0.0)


def test_a_script_without_a_language_that_the_library_knows(detector: Detector) -> None:
    (guess,) = detector.guess("ⵜⴰⵎⴰⵣⵉⵖⵜ")
    assert (guess.language.script, guess.confidence) == ("Tfng", 0.0)


def test_only_the_models_languages_are_found() -> None:
    detector = Detector(Languages({"eng_Latn", "spa_Latn", "zho_Hant"}))
    assert detector.guess("O carro vermelho vira à esquerda.")[0].language.code == "spa_Latn"
    assert detector.guess("红色的汽车")[0].language.code == "zho_Hant"


def test_a_long_text_is_not_read_whole(detector: Detector) -> None:
    assert detector.guess("The red car turns left. " * 100_000)[0].language.code == "eng_Latn"


def test_without_the_library_the_source_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(DetectionError, match="name the source"):
        Detector(Languages(known())).guess("Hello")
