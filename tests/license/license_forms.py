"""Every form in which each tool may be written, and forms that name none, made from the tools.

What is written in full here is the grammar of each kind of source, not the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from curate.license.tools import CREATIVE_COMMONS, PORT_NAMES, UNITS, VERSIONS, Tool

SCHEMES = ("https://", "http://", "//", "")
DOCUMENTS = ("", "deed", "deed.en", "deed.de", "deed.pt_BR", "deed.zh-hant", "deed.sr@latin",
             "legalcode", "legalcode.es", "legalcode.txt", "legalcode.zh-Hans", "rdf")  # fmt: skip
BEHIND = ("", "?ref=chooser-v1", "?ref=ccsearch&atype=rich", "#", "#s6b")
ADDRESS_KINDS = ("url", "laion_license", "cc_license_xmp", "xmp_webstatement")
TEXT_KINDS = ("text", "exif_copyright", "dc_rights", "xmp_usageterms")
SENTENCES = (
    "{}", "({})", "{}.", " {}\n", "License: {}", "Licence: {}", "© 2019 Jane Doe / {}",
    "© Jane Doe, {}", "Photo by Jane Doe, {}", "Photo: Jane Doe ({})", "Jane Doe | {}",
    "This work is licensed under {}.", "This photo is licensed under {}", "Licensed under {}",
    "Jane Doe, {}, via Wikimedia Commons", "Image credit: NASA/ESA, {}",
    "“A bridge at night” by Jane Doe is licensed under {}.", "Jane Doe 2020. {}.",
)  # fmt: skip
IN_TEXT = ("<{}>", "({})", "[licence]({})", "CC licence: {}", "License: {}.", "Licensed under {}")


def addresses(tool: Tool) -> Iterator[str]:
    """Grammatical addresses of a tool."""
    plain = tool.url.removeprefix("https://")
    for scheme in SCHEMES:
        for host in ("", "www."):
            yield from (f"{scheme}{host}{plain}{d}{b}" for d in DOCUMENTS for b in BEHIND)
            yield f"{scheme}{host}{plain}".rstrip("/")
    yield tool.url.upper()
    yield tool.url.replace(".org/", ".org:443/")
    yield f"http://{plain}".replace(".org/", ".org:80/")
    yield f"  {tool.url}\n"
    yield f"<{tool.url}>"


def names(tool: Tool) -> Iterator[str]:
    """Identifier, id, title and short names of a tool."""
    yield from (tool.id, tool.id.lower(), tool.identifier, tool.identifier.lower(), tool.title)
    yield tool.identifier.replace(" ", "-")
    yield tool.identifier.replace("-", "\u2011")
    yield from (f"Creative Commons {tool.title}", f"Creative Commons {tool.title} License")
    yield f"{tool.title} ({tool.identifier})"
    if tool.kind == "licence":
        yield tool.identifier.replace("-", " ")
        yield tool.identifier.replace("CC ", "CC-").replace(" ", "-", 1)
        if not tool.jurisdiction:
            suffix = tool.title.rsplit(" ", 1)[1]
            yield f"{tool.identifier} {suffix}"
            yield f"{tool.id}-{suffix}"


def well_formed() -> Iterator[tuple[str, str, str]]:
    """(kind, text, id) of what must be recognised."""
    for number, tool in enumerate(CREATIVE_COMMONS):
        for text in addresses(tool):
            yield ADDRESS_KINDS[number % len(ADDRESS_KINDS)], text, tool.id
            if not text.startswith("<"):
                yield "text", text, tool.id
        for form in IN_TEXT:
            yield "text", form.format(tool.url), tool.id
        yield from ((kind, f"{tool.url}", tool.id) for kind in (*ADDRESS_KINDS, "dc_rights"))
        yield from ((kind, name, tool.id) for kind in TEXT_KINDS for name in names(tool))
        spoken = [tool.identifier, f"Creative Commons {tool.title} License"]
        if tool.kind in ("licence", "cc0", "pdm"):
            yield from (("text", s.format(n), tool.id) for s in SENTENCES for n in spoken)
        yield from ((kind, text, tool.id) for kind, text in _structured(tool))


def _structured(tool: Tool) -> Iterator[tuple[str, str]]:
    """JSON, markup, expressions, templates."""
    triple = {"unit": tool.unit, "version": tool.version, "jurisdiction": tool.jurisdiction}
    yield "cc_triple", json.dumps(triple)
    if not tool.jurisdiction and tool.kind != "pddc":
        unit = {"zero": "cc0", "mark": "pdm"}.get(tool.unit, tool.unit)
        for code in (unit, unit.upper()):
            pair = {"license": code, "license_version": tool.version}
            yield "openverse_pair", json.dumps(pair)
            yield "openverse_pair", json.dumps(pair | {"license_url": tool.url})
    yield from (
        ("spdx", form) for form in (tool.spdx, tool.id, tool.spdx.lower(), f"({tool.spdx})")
    )
    yield "html", f'<a rel="license" href="{tool.url}">Licence</a>'
    yield "html", f"<p>Photo by Jane, <a href='{tool.url}' rel='license noopener'>licence</a></p>"
    yield "html", f'<meta name="dcterms.license" content="{tool.url}">'
    yield "html", f'<script type="application/ld+json">{json.dumps({"license": tool.url})}</script>'
    yield "hf_card", f"license: {tool.id.lower()}"
    if tool.kind == "licence":
        template = tool.id.lower()
        yield "wikimedia", template
        yield "wikimedia", tool.identifier
        yield "wikimedia", tool.url.rstrip("/")
        yield "wikimedia_wikitext", f"{{{{{template}}}}}"
        yield "wikimedia_wikitext", f"=={{{{int:license-header}}}}==\n{{{{self|{template}}}}}"


HOSTILE = (
    "https://evil.com/{url}", "https://evil.com/?u={url}", "https://evil.com/#{url}",
    "https://evil.com@{rest}", "{host}.evil.com/{path}", "{host}@evil.com/{path}",
    "https://evil-{rest}", "https://a.{rest}", "{url}%2e%2e/", "{url}../", "{url}/../by-nc/4.0/",
    "{host}/%6cicenses/{path}", "{host}/x/{path}", "{host}:8080/{path}", "{url}?u={url}",
    "ftp://{rest}", "{host}//{path}", "view-source:{url}", "mailto:{url}", "{host}\\{path}",
    "{host}/.{path}", "{host}/./{path}", "{host}\t/{path}", "https://web.archive.org/web/1/{url}",
    "https://user:pw@{rest}", "https:{rest}", "https:/{rest}", "{url}?jurisdiction=de",
    "https://creativecommons\u0301.org/{path}", "https://creativec\u043emmons.org/{path}",
    "https://xn--creativecommns-4ij.org/{path}", "{host}\u3002evil.com/{path}", "{host}./{path}",
)  # fmt: skip
WITHDRAWN = (
    "not {}", "NOT licensed under {}", "This is not available under {}", "isn't {}", "never {}",
    "no longer {}", "nicht {}", "keine {}-Lizenz", "pas {}", "{} does not apply", "{} - not",
    "instead of {}", "unlike {}", "similar to {}", "{}?", "maybe {}", "formerly {}", "once {}",
    "originally {}", "used to be {}", "was {}", "{}, all rights reserved", "{} has been removed",
    "all rights reserved; {}", "{} (text only)", "{} for non-profit only", "{} for students",
    "{} except for images", "{} and CC BY 3.0 AT", "{} is not granted", "{} until 2019",
    "Text: {}", "Text available under {}", "data under {}", "the metadata is {}", "audio {}",
    "{} expired", "{} (revoked)", "License changed from {}", "{} before 2020", "{} since 2021",
    "{} with additional restrictions", "{}, personal use only", "{} on request", "~~{}~~",
    "What is {}", "Learn about {}", "{} means that", "I refuse {}", "buy a {} license",
    "compatible with {}", "{}-ish", "{} or equivalent", "früher {}", "anciennement {}",
    "antes {}", "ранее {}", "以前は{}", "{}ではない", "{} değil", "ليس {}", "לא {}",
)  # fmt: skip


def nonsense() -> Iterator[tuple[str, str]]:
    """(kind, text) of what must never be accepted."""
    real = {(t.unit, t.version, t.jurisdiction) for t in CREATIVE_COMMONS}
    units = sorted(UNITS - {"zero", "mark", "certification"})
    for unit in [*units, "by-nd-sa", "by-nc-nd-sa"]:
        for version in [*sorted(VERSIONS), "0.0", "1.5", "3.5", "5.0", "7.0"]:
            for port in ["", *PORT_NAMES, "xx", "gb"]:
                if (unit, version, port) not in real:
                    yield from _impossible(unit, version, port)
    host = "https://creativecommons.org"
    for tool in CREATIVE_COMMONS[::3]:
        rest = tool.url.removeprefix("https://")
        path = rest.partition("/")[2]
        for form in HOSTILE:
            text = form.format(url=tool.url, rest=rest, host=host, path=path)
            yield from ((kind, text) for kind in ("url", "text", "html", "dc_rights"))
    named = ("CC BY 4.0", "CC-BY-SA-3.0", "CC0", "Creative Commons Attribution 4.0 International",
             f"{host}/licenses/by/4.0/", "Public Domain Mark 1.0", "CC BY-SA 3.0 DE")  # fmt: skip
    yield from (("text", form.format(name)) for form in WITHDRAWN for name in named)


def _impossible(unit: str, version: str, port: str) -> Iterator[tuple[str, str]]:
    place = f"{port}/" if port else ""
    yield "url", f"https://creativecommons.org/licenses/{unit}/{version}/{place}"
    triple = {"unit": unit, "version": version, "jurisdiction": port}
    if unit not in ("by-nd-nc", "by-nc-nd"):  # version 1.0 writes these elements in either order
        yield "cc_triple", json.dumps(triple)
        yield "text", f"CC {unit.upper()} {version} {port.upper()}".strip()
        yield "spdx", f"CC-{unit.upper()}-{version}" + (f"-{port.upper()}" if port else "")
