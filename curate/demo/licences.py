"""How sources spell licences, and what each spelling means: the planted licence truth.

Written by hand from the published Creative Commons tools and from what source dumps really hold;
nothing here asks `curate.license`, so that the two can disagree. A wording fills the metadata
columns `license_url` and `license_name`; `means` is a canonical id, AMBIGUOUS or REJECT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

AMBIGUOUS: Final = "AMBIGUOUS"
REJECT: Final = "REJECT"
GROUPS: Final = ("open", "sharealike", "noncommercial")
"""Licence groups from the freest to the narrowest; the first ranks first among duplicates."""


@dataclass(frozen=True)
class Wording:
    """One licence as a source gives it: either field may be missing."""

    means: str
    url: str | None = None
    name: str | None = None


def group(means: str) -> str | None:
    """The separable group of a canonical id; None where no policy accepts it (ND, no id)."""
    if means in (AMBIGUOUS, REJECT) or "-ND" in means:
        return None
    if "-NC" in means:
        return "noncommercial"
    return "sharealike" if "-SA" in means else "open"


_CC = "https://creativecommons.org/"
_URLS: Final = (
    ("CC0-1.0", f"{_CC}publicdomain/zero/1.0/"),
    ("CC0-1.0", "http://creativecommons.org/publicdomain/zero/1.0/legalcode"),
    ("CC0-1.0", f"{_CC}publicdomain/zero/1.0/deed.fr"),
    ("CC0-1.0", "creativecommons.org/publicdomain/zero/1.0"),
    ("CC-PDM-1.0", f"{_CC}publicdomain/mark/1.0/"),
    ("CC-PDM-1.0", "http://creativecommons.org/publicdomain/mark/1.0/deed.en"),
    ("CC-BY-4.0", f"{_CC}licenses/by/4.0/"),
    ("CC-BY-4.0", f"{_CC}licenses/by/4.0/deed.uk"),  # a language, not the port
    ("CC-BY-4.0", f"{_CC}licenses/by/4.0/legalcode.de"),
    ("CC-BY-4.0", "HTTPS://CreativeCommons.org/licenses/by/4.0"),
    ("CC-BY-3.0", "http://creativecommons.org/licenses/by/3.0/"),
    ("CC-BY-3.0-US", "http://creativecommons.org/licenses/by/3.0/us/"),
    ("CC-BY-3.0-IGO", f"{_CC}licenses/by/3.0/igo/"),
    ("CC-BY-2.5", f"{_CC}licenses/by/2.5/"),
    ("CC-BY-2.0", "http://www.creativecommons.org/licenses/by/2.0/"),
    ("CC-BY-2.0", "//creativecommons.org/licenses/by/2.0/"),
    ("CC-BY-2.0-UK", f"{_CC}licenses/by/2.0/uk/"),  # a port, not a language
    ("CC-BY-2.1-JP", f"{_CC}licenses/by/2.1/jp/deed.ja"),
    ("CC-BY-SA-4.0", f"{_CC}licenses/by-sa/4.0/"),
    ("CC-BY-SA-4.0", f"{_CC}licenses/by-sa/4.0/deed.es"),
    ("CC-BY-SA-3.0", "http://creativecommons.org/licenses/by-sa/3.0/legalcode"),
    ("CC-BY-SA-3.0-DE", f"{_CC}licenses/by-sa/3.0/de/"),
    ("CC-BY-SA-2.5", "http://creativecommons.org/licenses/by-sa/2.5"),
    ("CC-BY-SA-2.0", f"{_CC}licenses/by-sa/2.0/"),
    ("CC-BY-SA-1.0", "http://creativecommons.org/licenses/by-sa/1.0/"),
)
_NAMES: Final = (
    ("CC0-1.0", "CC0"),
    ("CC0-1.0", "CC0 1.0"),
    ("CC0-1.0", "cc0-1.0"),
    ("CC0-1.0", "CC0 1.0 Universal"),
    ("CC0-1.0", "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication"),
    ("CC-PDM-1.0", "Public Domain Mark 1.0"),
    ("CC-PDM-1.0", "PDM 1.0"),
    ("CC-BY-4.0", "CC BY 4.0"),
    ("CC-BY-4.0", "cc-by-4.0"),
    ("CC-BY-4.0", "Attribution 4.0 International"),
    ("CC-BY-4.0", "Attribution 4.0 International (CC BY 4.0)"),
    ("CC-BY-4.0", "Creative Commons Attribution 4.0 International License"),
    ("CC-BY-4.0", "CC\u00a0BY\u00a04.0"),  # no-break spaces, as pasted from a page
    ("CC-BY-4.0", "  CC BY 4.0  "),
    ("CC-BY-3.0", "CC-BY-3.0"),
    ("CC-BY-3.0", "Creative Commons Attribution 3.0 Unported"),
    ("CC-BY-3.0-AU", "CC BY 3.0 AU"),
    ("CC-BY-2.5", "Attribution 2.5 Generic"),
    ("CC-BY-2.0", "CC BY 2.0"),
    ("CC-BY-2.0", "Creative Commons Attribution 2.0 Generic"),
    ("CC-BY-SA-4.0", "CC BY-SA 4.0"),
    ("CC-BY-SA-4.0", "cc-by-sa-4.0"),
    ("CC-BY-SA-4.0", "Creative Commons Attribution-ShareAlike 4.0 International"),
    ("CC-BY-SA-4.0", "CC BY\u2011SA 4.0"),  # non-breaking hyphen
    ("CC-BY-SA-3.0", "CC BY-SA 3.0"),
    ("CC-BY-SA-3.0", "Attribution-ShareAlike 3.0 Unported"),
    ("CC-BY-SA-3.0-DE", "CC BY-SA 3.0 DE"),
    ("CC-BY-SA-2.5", "CC\u2013BY\u2013SA\u20132.5"),  # en dashes
    ("CC-BY-SA-2.0", "Attribution-ShareAlike 2.0 Generic"),
)
_BOTH: Final = (  # two fields that agree
    ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0 Universal"),
    ("CC-PDM-1.0", "https://creativecommons.org/publicdomain/mark/1.0/", "Public Domain Mark 1.0"),
    ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/", "CC BY 4.0"),
    ("CC-BY-2.0", "https://creativecommons.org/licenses/by/2.0/", "CC-BY-2.0"),
    ("CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "CC BY-SA 4.0"),
    ("CC-BY-SA-3.0", "http://creativecommons.org/licenses/by-sa/3.0/", "CC-BY-SA-3.0"),
)
ACCEPTED: Final[Sequence[Wording]] = (
    *(Wording(means, url=url) for means, url in _URLS),
    *(Wording(means, name=name) for means, name in _NAMES),
    *(Wording(means, url=url, name=name) for means, url, name in _BOTH),
)
"""Wordings of CC0, PDM, BY and BY-SA: what the policy `sharealike` lets in."""

NONCOMMERCIAL: Final[Sequence[Wording]] = (
    Wording("CC-BY-NC-4.0", url=f"{_CC}licenses/by-nc/4.0/"),
    Wording("CC-BY-NC-3.0", url="http://creativecommons.org/licenses/by-nc/3.0/"),
    Wording("CC-BY-NC-SA-4.0", url=f"{_CC}licenses/by-nc-sa/4.0/deed.pt"),
    Wording("CC-BY-NC-SA-2.0", url=f"{_CC}licenses/by-nc-sa/2.0/"),
    Wording("CC-BY-NC-4.0", name="CC BY-NC 4.0"),
    Wording("CC-BY-NC-SA-4.0", name="cc-by-nc-sa-4.0"),
    Wording("CC-BY-NC-SA-3.0", name="Attribution-NonCommercial-ShareAlike 3.0 Unported"),
    Wording("CC-BY-NC-2.0", name="Creative Commons Attribution-NonCommercial 2.0 Generic"),
)
NODERIVATIVES: Final[Sequence[Wording]] = (
    Wording("CC-BY-ND-4.0", url=f"{_CC}licenses/by-nd/4.0/"),
    Wording("CC-BY-NC-ND-4.0", url=f"{_CC}licenses/by-nc-nd/4.0/"),
    Wording("CC-BY-NC-ND-1.0", url="http://creativecommons.org/licenses/by-nd-nc/1.0/"),
    Wording("CC-BY-ND-2.0", name="CC BY-ND 2.0"),
    Wording("CC-BY-NC-ND-3.0", name="CC BY-NC-ND 3.0"),
    Wording("CC-BY-ND-4.0", name="Attribution-NoDerivatives 4.0 International"),
    Wording("CC-BY-NC-ND-2.0", name="Attribution-NonCommercial-NoDerivs 2.0 Generic"),
)
UNKNOWN: Final[Sequence[Wording]] = (
    Wording(REJECT),  # no claim at all
    Wording(REJECT, name=""),
    Wording(REJECT, name="All rights reserved"),
    Wording(REJECT, name="© 2019 Ines Carvalho. All rights reserved."),
    Wording(REJECT, name="Royalty-free"),
    Wording(REJECT, name="Editorial use only"),
    Wording(REJECT, name="see museum for permissions"),
    Wording(REJECT, name="Charlotte, NC"),
    Wording(REJECT, name="NOT licensed under CC BY 4.0"),
    Wording(REJECT, name="CC BY-ND-SA 4.0"),  # no such licence
    Wording(REJECT, url=f"{_CC}licenses/by/7.0/"),
    Wording(REJECT, url="http://rightsstatements.org/vocab/InC/1.0/"),
    Wording(REJECT, url="https://creativecommons.org.images.example/licenses/by/4.0/"),
    Wording(REJECT, url="https://creativecommons.org@images.example/licenses/by/4.0/"),
    Wording(REJECT, url="https://images.example/go?u=https://creativecommons.org/licenses/by/4.0/"),
    Wording(REJECT, url="https://cre\u0430tivecommons.org/licenses/by/4.0/"),  # a Cyrillic letter
)
VAGUE: Final[Sequence[Wording]] = (
    Wording(AMBIGUOUS, name="CC BY"),
    Wording(AMBIGUOUS, name="cc-by-sa"),
    Wording(AMBIGUOUS, name="Creative Commons"),
    Wording(AMBIGUOUS, name="Creative Commons Attribution"),
    Wording(AMBIGUOUS, name="Attribution-ShareAlike License"),
    Wording(AMBIGUOUS, name="Public domain"),
    Wording(AMBIGUOUS, name="CC BY-SA 4.0 DE"),  # 4.0 has no ports
    Wording(AMBIGUOUS, name="CC BY 2.1"),  # 2.1 has ports only
    Wording(AMBIGUOUS, url=f"{_CC}licenses/by/"),
    Wording(AMBIGUOUS, url="http://creativecommons.org/licenses/by-sa/"),
)
CONTRADICTORY: Final[Sequence[Wording]] = (
    Wording(AMBIGUOUS, f"{_CC}licenses/by/4.0/", "CC BY-NC 4.0"),
    Wording(AMBIGUOUS, f"{_CC}licenses/by-nc-nd/3.0/", "CC BY 3.0"),
    Wording(AMBIGUOUS, f"{_CC}licenses/by-sa/4.0/", "Attribution-NonCommercial 4.0 International"),
    Wording(AMBIGUOUS, f"{_CC}publicdomain/zero/1.0/", "CC BY-ND 4.0"),
    Wording(REJECT, f"{_CC}publicdomain/mark/1.0/", "All rights reserved"),
    Wording(REJECT, f"{_CC}licenses/by/2.0/", "© Ola Brandt, all rights reserved"),
)

WORDINGS: Final[Mapping[str, Sequence[Wording]]] = {
    "accepted": ACCEPTED, "noncommercial": NONCOMMERCIAL, "noderivatives": NODERIVATIVES,
    "unknown": UNKNOWN, "ambiguous": VAGUE, "contradiction": CONTRADICTORY,
}  # fmt: skip
