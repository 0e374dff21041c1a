"""The words of licence statements: elements, titles, ports and connectives in several languages.

Multi-word phrases are written with single spaces; a space also stands for a hyphen or nothing.
"""

from __future__ import annotations

import re
from typing import Final

from curate.license.tools import PORT_NAMES


def word_set(text: str) -> frozenset[str]:
    """The words of a text, which reads better in a table than a list of quoted ones."""
    return frozenset(text.split())


SHORT_ELEMENTS: Final = {"by": "by", "nc": "nc", "nd": "nd", "sa": "sa"}

_ELEMENTS: Final[dict[str, str]] = {
    "by": "attribution|attrib|namensnennung|atribución|atribucion|reconocimiento|reconeixement|"
    "attribuzione|atribuição|atribuicao|naamsvermelding|uznanie autorstwa|erkännande|navngivelse|"
    "navngiving|nimeä|nimea|paternité|paternite|uveďte původ|uvedte puvod|atribuire|nevezd meg|"
    "表示|署名|姓名標示|저작자표시|атрибуция|с указанием авторства|із зазначенням авторства|"
    "αναφορά δημιουργού|imenovanje|atıf|atribuo|наименование",
    "nc": "noncommercial|non commercial|noncommercial use|nicht kommerziell|nichtkommerziell|"
    "keine kommerzielle nutzung|pas d utilisation commerciale|no comercial|nocomercial|"
    "non commerciale|noncommerciale|não comercial|nãocomercial|nao comercial|niet commercieel|"
    "nietcommercieel|użycie niekomercyjne|ickekommersiell|icke kommersiell|ikke kommerciel|"
    "ikkekommersiell|epäkaupallinen|非営利|非商业性使用|非商業性|비영리|некоммерческое использование|"
    "некоммерческая|некомерційна|necomercial",
    "nd": "noderivs|noderivatives|noderiv|no derivs|no derivatives|no derivative works|"
    "no derivative|no deriv|noderivativeworks|keine bearbeitung|keine bearbeitungen|"
    "keinebearbeitung|keinebearbeitungen|pas de modification|pas de modifications|"
    "sin obra derivada|sin obras derivadas|sinobraderivada|sinderivadas|sin derivadas|sin derivar|sinderivar|"
    "sense obra derivada|non opere derivate|no opere derivate|nonoperederivate|sem derivações|"
    "semderivações|sem derivados|geen afgeleide werken|geenafgeleidewerken|"
    "bez utworów zależnych|inga bearbetningar|ingabearbetningar|ingen bearbejdelse|"
    "ingen bearbeidelse|改変禁止|禁止演绎|禁止改作|변경금지|без производных произведений|"
    "без производных|без похідних",
    "sa": "sharealike|share alike|weitergabe unter gleichen bedingungen|"
    "partage dans les mêmes conditions|partage dans les memes conditions|"
    "partage à l identique|partage des conditions initiales à l identique|compartirigual|"
    "compartir igual|compartir bajo la misma licencia|condividi allo stesso modo|"
    "compartilhaigual|compartilha igual|partilha nos termos da mesma licença|gelijkdelen|"
    "gelijk delen|na tych samych warunkach|dela lika|del på samme vilkår|del på samme vilkar|"
    "jaasamoin|zachovejte licenci|継承|相同方式共享|相同方式分享|동일조건변경허락|"
    "с сохранением условий|распространение на тех же условиях|на тех же условиях|"
    "поширення на тих самих умовах",
    "sampling": "sampling",
    "sampling+": "sampling plus|sampling +",
    "devnations": "developing nations|devnations",
    "zero": "zero|0",
    "pdm": "public domain mark|pdm",
    "pddc": "public domain certification|public domain dedication and certification",
    "pd": "public domain dedication|public domain|publicdomain|pd|domaine public|dominio público|"
    "domínio público|pubblico dominio|gemeinfrei",
}  # fmt: skip

PHRASES: Final[dict[tuple[str, ...], str]] = {
    tuple(phrase.split()): element
    for element, phrases in _ELEMENTS.items()
    for phrase in phrases.split("|")
} | {(short,): element for short, element in SHORT_ELEMENTS.items()}
FIRST_WORDS: Final[dict[str, list[tuple[str, ...]]]] = {}
for _phrase in sorted(PHRASES, key=len, reverse=True):
    FIRST_WORDS.setdefault(_phrase[0], []).append(_phrase)

SUFFIXES: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        word_set(
        "international internacional internazionale internationaal internationale internationell "
        "intl int kansainvälinen mezinárodní międzynarodowe 国際 国际 國際 국제 "
        "международная всемирная міжнародна"
        ),
        frozenset({"4.0"}),
    ),
    **dict.fromkeys(
        word_set(
        "unported unp portada importada importado 非移植"
        ), frozenset({"3.0"})
    ),
    **dict.fromkeys(
        word_set(
        "generic genérica generica genérico générique allgemein generiek 一般 通用 일반"
        ),
        frozenset({"1.0", "2.0", "2.5"}),
    ),
    "universal": frozenset({"1.0"}),
}  # fmt: skip

_NATIVE_PORTS: Final = {
    "de": "deutschland|allemagne|alemania", "at": "österreich|austria|autriche",
    "ch": "schweiz|suisse|svizzera", "es": "españa|espana|espagne|espanya", "it": "italia|italie",
    "fr": "francia|frankreich", "br": "brasil|brazil", "pl": "polska|poland", "jp": "日本",
    "cn": "中国大陆|china|mainland china", "tw": "台灣|臺灣|台湾", "kr": "south korea|대한민국",
    "us": "united states|united states of america|usa|estados unidos",
    "uk": "uk : england & wales|uk : england and wales|england and wales|england & wales|"
          "uk england & wales|uk england and wales|united kingdom",
    "scotland": "uk : scotland|uk scotland", "nl": "nederland|the netherlands",
    "se": "sverige", "dk": "danmark", "fi": "suomi", "no": "norge", "mx": "méxico",
    "pe": "perú", "cz": "czechia|česko", "gr": "ελλάδα", "hu": "magyarország", "hr": "hrvatska",
    "pt": "portugal", "ro": "românia", "ar": "argentina", "vn": "viet nam", "igo": "igo",
}  # fmt: skip


def _port_phrases() -> list[tuple[tuple[str, ...], str]]:
    named = {name.lower().replace(":", " :"): port for port, name in PORT_NAMES.items()}
    for port, names in _NATIVE_PORTS.items():
        named |= dict.fromkeys(names.split("|"), port)
    return sorted(((tuple(k.split()), v) for k, v in named.items()), key=lambda kv: -len(kv[0]))


PORT_PHRASES: Final[dict[str, list[tuple[tuple[str, ...], str]]]] = {}
for _words, _port in _port_phrases():
    PORT_PHRASES.setdefault(_words[0], []).append((_words, _port))

CJK: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts written without spaces, as the inside of a regular expression's class."""
CJK_WORDS: Final = sorted(
    {word for phrase in PHRASES for word in phrase if re.match(f"[{CJK}]", word)}
    | {word for word in SUFFIXES if re.match(f"[{CJK}]", word)}
    | word_set(
        "知识共享 創用 日本 中国大陆 台灣 臺灣 台湾 대한민국 许可协议 授權條款 ライセンス 라이선스"
    ),
    key=len,
    reverse=True,
)

LICENCE: Final = word_set(
    "license licence licenses licences licensed licenced lizenz lizenziert lizenzvertrag licencia "
    "licença licenca licenza licentie licencja licens lisens lisenssi llicència лицензия "
    "лицензии ліцензія ライセンス 许可协议 授權條款 라이선스 agreement"
)
VERSION: Final = word_set("version v ver versión versione versão versie wersja версия")
OR: Final = word_set("or oder ou o of eller lub или або または")
AND: Final = word_set("and und et y e en og och i и та &")
NOT: Final = word_set(
    "not never without nor neither nicht kein keine keinen keiner pas não nao niet geen ikke inte "
    "nie не ні cannot cant unlike except excepting excluding excludes non no sin sans senza sem "
    "unless isnt arent wasnt doesnt dont"
)  # fmt: skip
UNITS_OF_MEASURE: Final = word_set(
    "mb gb kb tb mib gib mp mpx megapixel megapixels mpixel m cm mm km ft inch inches x px pixel "
    "pixels stars star % percent mm2 seconds s sec min hours h kg g eur usd € $ £ million "
    "ghz mhz"
)  # fmt: skip
