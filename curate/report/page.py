"""From facts to one HTML file: templates with autoescape, every foreign string cleaned.

The page loads nothing and runs nothing; its own policy forbids both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from curate.license.evidence import LADDER
from curate.provenance.licensing import FLOOR, known_tool
from curate.provenance.places import model_name
from curate.report import charts
from curate.report import format as text
from curate.report.clusters import Clusters
from curate.report.latents import Latents
from curate.report.provenance import Provenance
from curate.report.scores import Scores
from curate.report.sheets import CARDS_A_REASON, Sheets
from curate.report.training import Training
from curate.report.verdicts import LEVELS, FunnelStep, Verdicts
from curate.store.manifest import Manifest

_MEASURES = {"clip_score": "score", "duplicate": "difference", "aspect": "ratio"}


class FaultScore(Protocol):
    """How one kind of planted fault was found; rates are between 0 and 1, None if undefined."""

    @property
    def fault(self) -> str: ...
    @property
    def planted(self) -> int: ...
    @property
    def found(self) -> int: ...
    @property
    def precision(self) -> float | None: ...
    @property
    def recall(self) -> float | None: ...
    @property
    def note(self) -> str: ...


@dataclass(frozen=True)
class Facts:
    """Everything the page shows, read from the dataset beforehand."""

    manifest: Manifest
    verdicts: Verdicts
    funnel: tuple[FunnelStep, ...]
    sheets: Sheets
    clip: Scores | None
    clusters: Clusters | None
    latents: Latents | None
    training: Training | None
    scores: Sequence[FaultScore]
    provenance: Provenance


def render(facts: Facts) -> str:
    """The whole page as HTML."""
    environment = Environment(
        loader=PackageLoader("curate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "thousands": text.thousands, "percent": text.percent, "duration": text.duration,
        "size": text.size, "clean": text.clean, "link": text.link, "data_url": text.data_url,
        "number": text.number, "model_name": model_name, "decimals": text.decimals, "measure": _measure, "of": _of, "license_url": _license_url,
    }  # fmt: skip
    return environment.get_template("report.html").render(_context(facts))


def _context(facts: Facts) -> dict[str, Any]:
    verdicts, sheets, clip, training = facts.verdicts, facts.sheets, facts.clip, facts.training
    bare = [
        (sheet.counted.reason, sheet.counted.verdict, sheet.counted.rows, sheet.counted.meaning)
        for sheet in sheets.others
        if not sheet.pictures
    ]
    origin = facts.provenance
    return {
        "manifest": facts.manifest, "audited": facts.manifest.license_audited,
        "verdicts": verdicts, "totals": verdicts.totals, "funnel": facts.funnel,
        "kinds": verdicts.kinds, "levels": LEVELS, "level_totals": verdicts.level_totals,
        "sheets": sheets, "bare": bare, "cards_a_reason": CARDS_A_REASON,
        "clip": clip, "clusters": facts.clusters, "latents": facts.latents,
        "training": training, "scores": facts.scores, "contents": _contents(facts),
        "histogram": clip and charts.both(lambda width: charts.histogram(clip, width)),
        "loss_curve": training and charts.both(lambda width: charts.loss_curve(training, width)),
        "source": origin.source,
        "holds": _in_words(list(origin.holds)) or "verdicts only",
        "facts": origin.facts, "models": origin.models, "layers": origin.layers,
        "versions": origin.versions, "recipe_text": origin.recipe_text,
        "exceptions": origin.exceptions, "declarations": origin.declarations, "rights": origin.rights, "cell": _cell,
        "floor": FLOOR, "below_floor": _below_floor(facts), "ladder": LADDER,
        "top_reasons": _in_words([kind for kind, *_ in verdicts.kinds[:3]]),
    }  # fmt: skip


def _below_floor(facts: Facts) -> int:
    """Kept rows on weaker evidence than the default asks; declared ones are told apart."""
    declared = sum(told.rows for told in facts.provenance.declarations)
    return facts.verdicts.kept_below_floor - declared if facts.manifest.license_audited else 0


def _contents(facts: Facts) -> list[tuple[str, str]]:
    """Anchor and title of each section that is there, in the order of the page."""
    sections = [
        ("funnel", "Funnel", True),
        ("found", "Found and planted", bool(facts.scores)),
        ("licences", "Licences", True),
        ("kept", "Kept pictures", True),
        ("rejected", "Rejected and failed", True),
        ("clip", "Caption fit", facts.clip is not None),
        ("duplicates", "Duplicates", facts.clusters is not None),
        ("latents", "Latents decoded", facts.latents is not None),
        ("training", "Training", facts.training is not None),
        ("provenance", "Provenance", True),
    ]
    return [(anchor, title) for anchor, title, there in sections if there]


def _in_words(names: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _measure(reason: str | None) -> str:
    """What was measured for a reason, in one word."""
    return _MEASURES.get((reason or "").partition(":")[0], "measured")


def _cell(rows: int | None) -> Markup:
    """One count of a matrix; zeros recede."""
    if not rows:
        return Markup('<td class="zero">0</td>')
    return Markup("<td>{}</td>").format(text.thousands(rows))


def _of(part: int | None, whole: int) -> str:
    """Percent of a whole as a CSS number."""
    return f"{100 * (part or 0) / whole:.3f}" if whole else "0"


def _license_url(license_id: str) -> str | None:
    """Address of the legal text of a canonical id."""
    tool = known_tool(license_id)
    return tool.url if tool else None
