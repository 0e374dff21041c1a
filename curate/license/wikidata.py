"""Wikidata's items for licences: each stands for exactly one tool, or for none that we know."""

from __future__ import annotations

import re
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, rejected
from curate.license.tools import tool

_ITEMS: Final[dict[str, str]] = {
    "Q6938433": "CC0-1.0", "Q7257361": "CC-PDM-1.0", "Q114756497": "CC-PDDC",
    "Q30942811": "CC-BY-1.0", "Q19125117": "CC-BY-2.0", "Q18810333": "CC-BY-2.5",
    "Q14947546": "CC-BY-3.0", "Q20007257": "CC-BY-4.0", "Q47001652": "CC-BY-SA-1.0",
    "Q19068220": "CC-BY-SA-2.0", "Q19113751": "CC-BY-SA-2.5", "Q14946043": "CC-BY-SA-3.0",
    "Q18199165": "CC-BY-SA-4.0", "Q44283370": "CC-BY-NC-1.0", "Q44128984": "CC-BY-NC-2.0",
    "Q19113746": "CC-BY-NC-2.5", "Q18810331": "CC-BY-NC-3.0", "Q34179348": "CC-BY-NC-4.0",
    "Q47008954": "CC-BY-NC-SA-1.0", "Q28050835": "CC-BY-NC-SA-2.0",
    "Q19068212": "CC-BY-NC-SA-2.5", "Q15643954": "CC-BY-NC-SA-3.0",
    "Q42553662": "CC-BY-NC-SA-4.0", "Q47008966": "CC-BY-ND-1.0", "Q35254645": "CC-BY-ND-2.0",
    "Q18810338": "CC-BY-ND-2.5", "Q18810160": "CC-BY-ND-3.0", "Q36795408": "CC-BY-ND-4.0",
    "Q47008926": "CC-BY-NC-ND-1.0", "Q47008927": "CC-BY-NC-ND-2.0",
    "Q19068204": "CC-BY-NC-ND-2.5", "Q19125045": "CC-BY-NC-ND-3.0",
    "Q24082749": "CC-BY-NC-ND-4.0", "Q75209430": "CC-SA-1.0", "Q26913038": "CC-SAMPLING-PLUS-1.0",
    "Q100509915": "CC-SAMPLING-1.0", "Q24273512": "PDDL-1.0", "Q30940585": "ODC-By-1.0",
    "Q1224853": "ODbL-1.0", "Q26921685": "GFDL-1.1-only", "Q50829096": "GFDL-1.1-or-later",
    "Q26921686": "GFDL-1.2-only", "Q50829104": "GFDL-1.2-or-later", "Q26921691": "GFDL-1.3-only",
    "Q27019786": "GFDL-1.3-or-later", "Q99891660": "OGL-UK-1.0", "Q99891692": "OGL-UK-2.0",
    "Q99891702": "OGL-UK-3.0", "Q80939351": "etalab-2.0", "Q115739433": "CDLA-Permissive-2.0",
}  # fmt: skip

# items of ported licences: place and number of the item, by the licence without its place
_PORTS: Final[dict[str, str]] = {
    "CC-BY-1.0": "fi 75446635 il 75446609 nl 75445499",
    "CC-BY-2.0": (
        "at 75450165 au 75452310 be 75457467 br 75457506 ca 75460106 cl 75460149 "
        "de 75466259 es 75470365 fr 75470422 hr 75474094 it 75475677 jp 75477775 "
        "kr 44282633 nl 75476747 pl 75486069 tw 75487055 uk 63241773 za 75488238"
    ),
    "CC-BY-2.1": "au 75894680 es 75894644 jp 26116436",
    "CC-BY-2.5": (
        "ar 75491630 au 75494411 bg 75500112 br 75501683 ca 75504835 ch 75506669 "
        "cn 75434631 co 75663969 dk 75665696 es 75705948 hr 75706881 hu 75759387 "
        "il 75759731 in 75443434 it 75760479 mk 75761383 mt 75761779 mx 75762418 "
        "my 75762784 nl 75763101 pe 75764151 pl 75764470 pt 75764895 scotland 75765287 "
        "se 27940776 si 75766316 tw 75767185 za 75767606"
    ),
    "CC-BY-3.0": (
        "at 75768706 au 52555753 br 75770766 ch 75771320 cl 75771874 cn 75779562 "
        "cr 75789929 cz 67918154 de 62619894 ec 75850366 ee 75850813 eg 75850832 "
        "es 75775133 fr 75775714 gr 75851799 gt 75852313 hk 75779905 hr 75776014 "
        "ie 75852938 igo 26259495 it 75776487 lu 75853187 nl 53859967 no 75853549 "
        "nz 75853514 ph 75856699 pl 75777688 pr 75857518 pt 75854323 ro 75858169 "
        "rs 75859019 sg 75859751 th 75866892 tw 75778801 ug 75882470 us 18810143 "
        "vn 75889409 za 76631753"
    ),
    "CC-BY-NC-2.1": "jp 107673639",
    "CC-BY-NC-3.0": "de 108002180 es 80230469",
    "CC-BY-NC-ND-2.0": "fr 104708274 uk 56299316",
    "CC-BY-NC-ND-2.5": "es 77660706 pt 42172282",
    "CC-BY-NC-ND-3.0": "de 108002189 fr 23006354 igo 76448905 us 96200688",
    "CC-BY-NC-SA-2.0": "de 119146646 fr 94507369 kr 58041147 uk 63241094",
    "CC-BY-NC-SA-2.5": "ch 96473808 it 65096132",
    "CC-BY-NC-SA-3.0": "de 105295756 igo 106453388",
    "CC-BY-ND-2.0": "uk 63241854",
    "CC-BY-ND-3.0": "de 108002236 tw 105699164",
    "CC-BY-SA-1.0": "fi 76767348 il 76769447 nl 77014037",
    "CC-BY-SA-2.0": (
        "at 77021108 au 77131257 be 77132386 br 77133402 ca 77135172 cl 77136299 "
        "de 77143083 es 77352646 fr 77355872 hr 77361415 it 77362254 jp 77363039 "
        "kr 44282641 nl 77363856 pl 77364488 tw 77364872 uk 77365183 za 77365530"
    ),
    "CC-BY-SA-2.1": "au 77366066 es 77366576 jp 77367349",
    "CC-BY-SA-2.5": (
        "ar 99239269 au 99239530 bg 99239903 br 99239977 ca 24331618 ch 99240068 "
        "cn 99240158 co 99240246 dk 99240336 es 99240437 hr 99240535 hu 98755330 "
        "il 99240616 in 99240684 it 98929925 mk 99437988 mt 99438077 mx 99438138 "
        "my 99438269 nl 18199175 pe 99438515 pl 98755337 pt 99438743 scotland 99438747 "
        "se 15914252 si 99438751 tw 99438755 za 99438757"
    ),
    "CC-BY-SA-3.0": (
        "at 80837139 au 86239208 br 98755369 ch 99457378 cl 99457535 cn 99458406 "
        "cr 99458659 cz 98755321 de 42716613 ec 99458819 ee 86239559 es 86239991 "
        "fr 86240326 gr 99457707 gt 99459010 hk 99459076 hr 99459365 ie 99459488 "
        "igo 56292840 it 98755364 lu 86240624 nl 18195572 no 63340742 nz 99438798 "
        "ph 99460006 pl 80837607 pr 99460154 pt 99460272 ro 86241082 rs 98755344 "
        "sg 99460356 th 99460411 tw 98960995 ug 99460475 us 18810341 vn 99460484 "
        "za 99460515"
    ),
}


def _port_items() -> dict[str, str]:
    found = {}
    for licence, listed in _PORTS.items():
        words = listed.split()
        for place, number in zip(words[::2], words[1::2], strict=True):
            found[f"Q{number}"] = f"{licence}-{place.upper()}"
    return found


_PORT_ITEMS: Final = _port_items()
_VERSIONLESS_ITEMS: Final = {
    "Q6905323": "CC-BY", "Q6905942": "CC-BY-SA", "Q6998997": "CC-BY-NC-SA", "Q284742": "",
    "Q152332": "LAL", "Q17016921": "OGL-UK",
}  # fmt: skip
_PUBLIC_DOMAIN_ITEMS: Final = frozenset({"Q19652", "Q98592850", "Q88088423"})


def wikidata_p275(text: str) -> Parsed:
    """A Wikidata item id or its address; items outside the table name no tool we know."""
    match = re.fullmatch(
        r"(?:(?:https?:)?//(?:www\.)?wikidata\.org/(?:entity|wiki)/|wd:)?(Q[1-9][0-9]{0,11})",
        text.strip(),
        re.ASCII,
    )
    if match is None:
        return rejected("malformed" if text.strip() else "empty", text.strip())
    item = match[1]
    named = _ITEMS.get(item) or _PORT_ITEMS.get(item)
    if named is not None:
        return accepted(tool(named), "source_rule", item)
    if item in _PUBLIC_DOMAIN_ITEMS:
        return ambiguous("public_domain", item)
    if item in _VERSIONLESS_ITEMS:
        family = _VERSIONLESS_ITEMS[item]
        return ambiguous("versionless" if family else "no_tool", item, family or None)
    return rejected("unrecognised", item)
