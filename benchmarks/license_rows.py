"""How fast a column of five million licence addresses is judged, beside what else one would use.

The peers do less: a regular expression finds unit, version and port where they stand, and knows
neither which tools exist nor which hosts are theirs.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlparse

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.machine import interleaved, store, summary
from curate import columns as c
from curate.license import parse_column
from curate.license.column import judge
from curate.license.tools import CREATIVE_COMMONS

ROWS: Final = 5_000_000
SAMPLE_ROWS: Final = 200_000
DISTINCT: Final = 3_000
PATTERN: Final = (
    r"^https?://creativecommons\.org/(?:licenses|publicdomain)/(?P<unit>[a-z+-]+)/"
    r"(?P<version>[0-9]\.[0-9])(?:/(?P<port>[a-z]+))?"
)
_NAMED: Final = re.compile(PATTERN)


def distinct_values() -> list[str]:
    """3,000 different values as dumps hold them: tools in several forms, and what is no licence."""
    forms = ("{}", "{}deed.de", "{}legalcode", "{}?ref={}")
    urls = [t.url for t in CREATIVE_COMMONS]
    urls += [url.replace("https:", "http:") for url in urls] + [url.rstrip("/") for url in urls]
    urls += [form.format(url, n) for form in forms[1:] for n, url in enumerate(urls[:639])]
    urls = list(dict.fromkeys(urls))[: DISTINCT * 9 // 10]
    return urls + [f"https://example.org/terms/{n}" for n in range(DISTINCT - len(urls))]


def column() -> pa.Array:
    """The values in a fixed shuffle, each about as often as the others."""
    places = np.random.default_rng(0).integers(0, DISTINCT, ROWS)
    return pa.array(distinct_values()).take(pa.array(places))


def claims(values: pa.Array) -> pa.ListArray:
    """The same as a CLAIMS column with one claim a row."""
    kinds = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int8)), ["url"])
    given = {"kind": kinds.cast(pa.string()), "value": values, "level": np.full(ROWS, 5, np.int8)}
    fields = [
        pa.array(given[field.name], field.type) if field.name in given
        else pa.nulls(ROWS, field.type)
        for field in c.CLAIMS.type.value_type
    ]  # fmt: skip
    structs = pa.StructArray.from_arrays(fields, fields=list(c.CLAIMS.type.value_type))
    return pa.ListArray.from_arrays(
        pa.array(np.arange(ROWS + 1, dtype=np.int32)), structs, type=c.CLAIMS.type
    )


def by_urlparse(url: str) -> str | None:
    """What one writes by hand: host, then path."""
    parts = urlparse(url)
    path = parts.path.strip("/").split("/")
    known = parts.netloc == "creativecommons.org" and len(path) > 2 and path[0] == "licenses"
    return f"CC-{path[1]}-{path[2]}" if known else None


def by_regex(url: str) -> str | None:
    found = _NAMED.match(url)
    return f"CC-{found['unit']}-{found['version']}" if found else None


def processor_seconds(work: Callable[[], Any]) -> float:
    """Median processor time of all threads, which neighbours on the machine hardly change."""
    taken = []
    for _ in range(5):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def main() -> None:
    """Measure, print, store."""
    whole = column()
    sample = whole.slice(0, SAMPLE_ROWS)
    series, texts = pd.Series(whole.to_pylist(), dtype=object), sample.to_pylist()
    table = pa.table({"url": whole})
    connection = duckdb.connect()
    connection.register("claims", table)
    query = (
        f"SELECT regexp_extract(url, '{PATTERN}', ['unit', 'version', 'port']) AS tool FROM claims"
    )
    judged_claims = claims(whole)
    contestants: dict[str, tuple[int, Callable[[], Any]]] = {
        "curate parse_column": (ROWS, lambda: parse_column(whole, "url")),
        "curate judge (claims column)": (ROWS, lambda: judge(judged_claims)),
        "pyarrow dictionary_encode alone": (ROWS, lambda: pc.dictionary_encode(whole)),
        "pyarrow match_substring_regex": (ROWS, lambda: pc.match_substring_regex(whole, PATTERN)),
        "pyarrow extract_regex": (ROWS, lambda: pc.extract_regex(whole, PATTERN)),
        "duckdb regexp_extract": (ROWS, lambda: connection.sql(query).to_arrow_table()),
        "pandas apply, compiled regex": (ROWS, lambda: series.apply(by_regex)),
        "urlparse a row (sample)": (SAMPLE_ROWS, lambda: [by_urlparse(text) for text in texts]),
    }
    taken = interleaved({name: work for name, (_, work) in contestants.items()}, runs=5)
    figures = {}
    for name, (rows, _) in contestants.items():
        measured = summary(taken[name])
        rate = round(rows / measured["median_seconds"] / 1e6, 2)
        figures[name] = {"rows": rows, **measured, "million_rows_per_second": rate}
        print(f"{name:34} {rate:8.2f} M rows/s  (median of {len(taken[name])})")
    for name in ("curate parse_column", "pyarrow dictionary_encode alone"):
        rows, work = contestants[name]
        rate = round(rows / processor_seconds(work) / 1e6, 2)
        figures[name]["million_rows_per_processor_second"] = rate
        print(f"{name:34} {rate:8.2f} M rows a second of one processor")
    setting = {"distinct_values": DISTINCT, "rows": ROWS, "figures": figures}
    print(store("license_rows", setting, packages=("pyarrow", "pandas", "duckdb", "numpy")))


if __name__ == "__main__":
    main()
