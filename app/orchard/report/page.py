"""The report as one self-contained HTML page: no script, nothing to fetch, light and dark, phone and paper.

`render` is pure: the dict of `report.json`, some points and some photos in, HTML text out. Sections come in the order a reader who did not
run the job asks: what came out, can it be trusted, how was it made.
"""

from __future__ import annotations

import base64
import html
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchard.network.backbones import BACKBONES
from orchard.photos.decoding import REASONS
from orchard.photos.source import Rejection
from orchard.report import plots
from orchard.report.plots import Drawing, count, duration, percent, printable

MAX_REJECTS = 100

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Points:
    """Photos on the first two components.

    Attributes:
        labels: variety of each of the n points.
        xy: float (n, 2); the second column is ignored when one component is kept.
        total: photos that the n are a sample of.
    """

    labels: list[str]
    xy: NDArray[np.floating]
    total: int


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG for the contact sheet."""

    label: str
    path: str
    jpeg: bytes


def render(facts: Facts, *, points: Points, photos: Sequence[Thumbnail], rejects: Sequence[Rejection]) -> str:
    """The whole page.

    Args:
        facts: what `report.json` holds.
        points: for the PC 1 x PC 2 figure.
        photos: for the contact sheet; none when they could not be read again.
        rejects: the rejected photos, or the first of them.
    """
    figures = {drawing.name: drawing for drawing in drawings(facts, points)}
    sections = [
        _summary(facts),
        '<div class="pair">',
        _section("Explained variance", _figure(figures["variance"], _variance_caption(facts))),
        _section("Photos on the first two components", _figure(figures["scatter"], _scatter_caption(points))),
        "</div>",
        _section("Photos by variety", _contact_sheet(facts, photos)),
        '<div class="pair">',
        _section(
            "Partitions",
            _figure(
                figures["partitions"], "Each partition is one Spark task: consecutive photos, featurized together."
            ),
        ),
        _section("Time by stage", _figure(figures["seconds"], _seconds_caption(facts))),
        "</div>",
        _section("Rejected photos", _rejected(facts, rejects)),
        _section("How it was made", _provenance(facts)),
        _section("What the words mean", _glossary(facts)),
        _section("How to load the results", _loading(facts)),
    ]
    title = f"Orchard report: {_text(facts['input']['uri'])}"
    return _PAGE.format(title=title, style=_STYLE, body="\n".join(sections), created=_when(facts["created"]))


def drawings(facts: Facts, points: Points) -> list[Drawing]:
    """The page's four figures, in its order: `variance`, `scatter`, `partitions`, `seconds`."""
    pca = facts["pca"]
    ratio = [float(share) for share in pca["explained_variance_ratio"]]
    return [
        plots.variance(ratio, pca["cumulative"], k=pca["k"], target=pca["variance_target"]),
        plots.scatter(points.labels, points.xy, shares=ratio[: min(2, pca["k"])]),
        plots.partitions(facts["partitions"]),
        plots.seconds(facts["seconds"]),
    ]


# --- Pieces of HTML -------------------------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    """Any value as HTML text, safe in a quoted attribute too."""
    return html.escape(printable(str(value)))


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>"


def _figure(drawing: Drawing, caption: str) -> str:
    return f"<figure>\n{_inline(drawing)}\n<figcaption>{caption}</figcaption>\n</figure>"


def _inline(drawing: Drawing) -> str:
    """The drawing as an <svg> element whose colours follow the page's, for dark mode."""
    svg = plots.to_svg(drawing).decode()
    svg = svg[svg.index("<svg") :].strip()
    svg = plots.replace_in_tags(svg, {f": {color}": f": var({variable})" for color, variable in _THEME.items()})
    # HTML needs no namespaces, and a size in points would win over the page's width.
    svg = (
        re.sub(r' (?:xmlns(?::xlink)?|version|width|height)="[^"]*"', "", svg[: svg.index(">")]) + svg[svg.index(">") :]
    )
    return svg.replace("<svg", f'<svg role="img" aria-label="{_text(drawing.title)}"', 1)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, both HTML; rows without a value are left out."""
    lines = [f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows if value]
    return '<table class="facts">\n' + "\n".join(lines) + "\n</table>"


def _when(iso: str) -> str:
    """'2026-11-22T23:26:15+00:00' -> 22 November 2026, 23:26 UTC; anything else as it is."""
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return _text(iso)
    return f'<time datetime="{_text(iso)}">{moment.day} {moment:%B %Y, %H:%M} {_text(moment.tzname() or "")}</time>'


# --- Summary and captions -------------------------------------------------------------------------------------------------------------


def _summary(facts: Facts) -> str:
    counts, pca, spark = facts["counts"], facts["pca"], facts["spark"]
    kept = percent(pca["cumulative"][pca["k"] - 1])
    size = facts["backbone"]["feature_size"]
    tiles = [
        (f"{counts['featurized']:,}", f"of {count(counts['listed'], 'photo')} featurized"),
        (f"{counts['rejected']:,}", "rejected" if counts["rejected"] else "rejected: every photo made it"),
        (f"{pca['k']:,}", f"{'component' if pca['k'] == 1 else 'components'} for {kept} of the variance"),
        (_rate(facts["images_per_second"]), "photos a second while featurizing"),
        (duration(facts["seconds"]["total"]), "from start to report"),
        (count(spark["cores"], "core"), f"{count(spark['executors'], 'executor')}, Spark on {_text(spark['master'])}"),
    ]
    cards = "\n".join(f"<li><strong>{value}</strong> {label}</li>" for value, label in tiles)
    return f"""<header>
<p class="kicker">Orchard report, {_when(facts["created"])}</p>
<h1>{count(counts["featurized"], "photo")} of {count(facts["input"]["varieties"], "variety", "varieties")}, each now
{count(pca["k"], "number")} instead of {size:,}</h1>
<p>Read from <code>{_text(facts["input"]["uri"])}</code>. {_selection(facts)}{_alert(facts)}</p>
<ul class="tiles">
{cards}
</ul>
</header>"""


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def _selection(facts: Facts) -> str:
    """What was left out on purpose, or nothing."""
    source = facts["input"]
    parts = []
    if source.get("per_variety"):
        parts.append(f"At most {count(source['per_variety'], 'photo')} of each variety were asked for. ")
    if source.get("ignored"):
        parts.append(
            f"{count(source['ignored'], 'file')} beside the photos {'was' if source['ignored'] == 1 else 'were'} ignored. "
        )
    return "".join(parts)


def _alert(facts: Facts) -> str:
    rejected = facts["counts"]["rejected"]
    if not rejected:
        return ""
    share = percent(rejected / facts["counts"]["listed"])
    return f'<strong class="alert">{count(rejected, "photo")} ({share}) could not be used: see <a href="#rejected">why</a>.</strong>'


def _variance_caption(facts: Facts) -> str:
    pca = facts["pca"]
    if pca["variance_target"] is None:
        return f"The run asked for {count(pca['k'], 'component')}. The line adds the bars up from the left."
    target = percent(pca["variance_target"])
    return f"{count(pca['k'], 'component')}: the fewest that keep the {target} asked for. The line adds the bars up from the left."


def _scatter_caption(points: Points) -> str:
    shown = len(points.labels)
    if shown < points.total:
        return f"A sample of {count(shown, 'photo')} out of {points.total:,}. Photos that look alike to the network lie close together."
    return f"All {count(shown, 'photo')}. Photos that look alike to the network lie close together."


def _seconds_caption(facts: Facts) -> str:
    inside = ", ".join(f"{_text(kind)} {duration(value)}" for kind, value in facts.get("task_seconds", {}).items())
    return "What the run spent its time on, in order." + (
        f" Inside featurizing, over all tasks: {inside}." if inside else ""
    )


# --- Contact sheet --------------------------------------------------------------------------------------------------------------------


def _contact_sheet(facts: Facts, photos: Sequence[Thumbnail]) -> str:
    if not photos:
        return "<p>The photos were not at hand when this page was made.</p>"
    groups: dict[str, list[Thumbnail]] = defaultdict(list)
    for photo in photos:
        groups[photo.label].append(photo)
    totals, varieties = facts["input"]["labels"], facts["input"]["varieties"]
    rows = "\n".join(_variety(label, group, totals.get(label)) for label, group in groups.items())
    note = f"<p>Some photos of {len(groups):,} of the {varieties:,} varieties.</p>\n" if len(groups) < varieties else ""
    return f'{note}<div class="sheet">\n{rows}\n</div>'


def _variety(label: str, photos: Sequence[Thumbnail], total: int | None) -> str:
    of = (
        f"{len(photos)} of {count(total, 'photo')}"
        if total is not None and total > len(photos)
        else count(len(photos), "photo")
    )
    return f"<figure>\n<figcaption><strong>{_text(label)}</strong> {of}</figcaption>\n{''.join(map(_image, photos))}\n</figure>"


def _image(photo: Thumbnail) -> str:
    data = base64.b64encode(photo.jpeg).decode()
    name = _text(f"{photo.label}, {PurePosixPath(photo.path).name}")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{name}" title="{_text(photo.path)}">'


# --- Rejects --------------------------------------------------------------------------------------------------------------------------


def _rejected(facts: Facts, rejects: Sequence[Rejection]) -> str:
    total = facts["counts"]["rejected"]
    if not total:
        return '<p id="rejected">No photo was rejected: every one listed has its features.</p>'
    reasons = sorted(facts["rejected_by_reason"].items(), key=lambda item: (-item[1], item[0]))
    rows = "\n".join(
        f'<tr><td class="number">{number:,}</td><td><code>{_text(reason)}</code></td><td>{_text(REASONS.get(reason, ""))}</td></tr>'
        for reason, number in reasons
    )
    return f"""<table id="rejected">
<thead><tr><th scope="col">Photos</th><th scope="col">Reason</th><th scope="col">Meaning</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{_reject_table(rejects, total)}"""


def _reject_table(rejects: Sequence[Rejection], total: int) -> str:
    shown = rejects[:MAX_REJECTS]
    if not shown:
        return "<p>Each one is listed in the table <code>rejected/</code>.</p>"
    rows = "\n".join(
        f"<tr><td>{_text(reject.path)}</td><td><code>{_text(reject.reason)}</code></td><td>{_text(reject.detail)}</td></tr>"
        for reject in shown
    )
    more = total - len(shown)
    note = (
        f"<p>{more:,} more {'is' if more == 1 else 'are'} listed in the table <code>rejected/</code>.</p>"
        if more > 0
        else ""
    )
    return f"""<table class="rejects">
<thead><tr><th scope="col">Path</th><th scope="col">Reason</th><th scope="col">Detail</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{note}"""


# --- Provenance, words, loading -------------------------------------------------------------------------------------------------------


def _provenance(facts: Facts) -> str:
    backbone, spark = facts["backbone"], facts["spark"]
    known = BACKBONES.get(backbone["name"])
    versions = ", ".join(
        f"{_text(name)}&nbsp;{_text(version)}" for name, version in facts["versions"].items() if version
    )
    return _table(
        [
            (
                "Backbone",
                f"{_text(known.description if known else backbone['name'])}: {count(backbone['feature_size'], 'feature')} a photo",
            ),
            ("Fingerprint of its weights", f"<code>{_text(backbone['fingerprint'])}</code> (SHA-256)"),
            (
                "Runtime",
                _text({"litert": "LiteRT", "tensorflow": "TensorFlow"}.get(facts["runtime"], facts["runtime"])),
            ),
            ("Preprocessing", _preprocessing(backbone["name"])),
            (
                "Reduction",
                "each feature to mean 0 and standard deviation 1, then PCA; each component's largest loading is positive",
            ),
            ("Spark", f"{_text(spark['version'])} on <code>{_text(spark['master'])}</code>"),
            ("Versions", versions),
            ("Container image", f"<code>{_text(facts['image'])}</code>" if facts.get("image") else "none recorded"),
            ("Made", _when(facts["created"])),
        ]
    )


def _preprocessing(name: str) -> str:
    known = BACKBONES.get(name)
    if known is None:
        return ""
    width, height = known.input_size
    low, high = known.pixel_offset, 255 * known.pixel_scale + known.pixel_offset
    return f"RGB, resized to {width} x {height} (bicubic), values scaled from 0 … 255 to {low:g} … {high:g}"


def _glossary(facts: Facts) -> str:
    size, k = facts["backbone"]["feature_size"], facts["pca"]["k"]
    words = {
        "Variety": "The kind of fruit in a photo: the name of the folder that the photo is in.",
        "Features": f"{size:,} numbers by which a network that has seen a million photos describes one photo: colours, outlines, textures. "
        "Photos of similar things get similar numbers.",
        "Backbone": "That network, without the last layer, which would name what it sees.",
        "PCA": "Principal component analysis: it finds the few directions along which the photos differ most, and describes each "
        "photo by its place along them.",
        "Components": f"Those places: {count(k, 'number')} a photo, the most telling first. "
        "A classifier trains on them faster than on the features.",
        "Explained variance": "How much of the difference between photos a component keeps. All components together keep 100&nbsp;%.",
        "Partition": "The share of the photos that one Spark task works on.",
    }
    return "<dl>\n" + "\n".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in words.items()) + "\n</dl>"


def _loading(facts: Facts) -> str:
    size, k = facts["backbone"]["feature_size"], facts["pca"]["k"]
    return f"""<p>With stock PySpark; <code>OUTPUT</code> is the folder or bucket that this page is in.</p>
<pre><code>from pyspark.ml import PipelineModel
from pyspark.ml.functions import array_to_vector

features = spark.read.parquet(f"{{OUTPUT}}/features")      # path, label, features: {size:,} floats
components = spark.read.parquet(f"{{OUTPUT}}/components")  # path, label, components: {k:,} floats
rejected = spark.read.parquet(f"{{OUTPUT}}/rejected")      # path, label, reason, detail

# The fitted scaler and PCA, for photos to come: from a vector column "features" to "components".
model = PipelineModel.load(f"{{OUTPUT}}/model")
model.transform(features.withColumn("features", array_to_vector("features")))</code></pre>"""


# --- The page around --------------------------------------------------------------------------------------------------------------------

_THEME = {
    plots.INK: "--ink",
    plots.MUTED: "--muted",
    plots.GRID: "--line",
    plots.ACCENT: "--accent",
    plots.ACCENT_SOFT: "--accent-soft",
}

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f5f7f9; --ink: #22272e; --muted: #5a6472; --line: #d4d9df; --accent: #0072b2;
  --accent-soft: #8fc1de; --alert: #a63c00; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1e2329; --ink: #e4e8ec; --muted: #a3adb8;
  --line: #353c45; --accent: #55aee2; --accent-soft: #2f6386; --alert: #ff9a62; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, footer { max-width: 1040px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { font-size: 30px; line-height: 1.2; margin: 4px 0 10px; text-wrap: balance; }
h2 { font-size: 20px; margin: 0 0 10px; }
section { margin: 44px 0 0; min-width: 0; }
p, figure, dl, pre, table { margin: 0 0 12px; }
a { color: var(--accent); }
code, pre { font: 0.88em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: 14px; background: var(--card); border-radius: 8px; }
pre code { font-size: 13.5px; overflow-wrap: normal; }
.kicker, figcaption { color: var(--muted); font-size: 14px; }
.alert { color: var(--alert); font-weight: 600; }
.tiles { list-style: none; margin: 20px 0 0; padding: 0; display: grid;
  gap: 12px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tiles li { padding: 12px 14px; background: var(--card); border-radius: 8px; color: var(--muted); font-size: 14px; line-height: 1.35; }
.tiles strong { display: block; color: var(--ink); font-size: 24px; line-height: 1.25; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); column-gap: 40px; }
svg { display: block; width: 100%; max-width: 560px; height: auto; }
.sheet { display: grid; gap: 18px 40px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 470px), 1fr)); }
.sheet figure { margin: 0; }
.sheet figcaption { margin-bottom: 4px; }
.sheet figcaption strong { color: var(--ink); }
.sheet img { width: 72px; height: 72px; object-fit: contain; background: #fff; border: 1px solid var(--line); border-radius: 6px;
  margin: 0 6px 6px 0; vertical-align: top; }
table { width: 100%; border-collapse: collapse; font-size: 15px; }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th, .facts th { color: var(--muted); font-weight: 500; }
.facts th { width: 210px; overflow-wrap: normal; }
.number { width: 80px; font-variant-numeric: tabular-nums; }
.rejects { font-size: 14px; }
td > code:only-child { overflow-wrap: normal; }
dl { columns: 2; column-gap: 40px; }
dt { font-weight: 600; break-after: avoid; }
dd { margin: 0 0 10px; break-inside: avoid; }
footer { margin-top: 48px; padding-bottom: 36px; color: var(--muted); font-size: 14px; }
@media (max-width: 640px) {
  h1 { font-size: 24px; }
  dl { columns: 1; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .sheet img { width: 60px; height: 60px; }
  .facts th { width: 124px; }
}
@media print {
  body { font-size: 11pt; }
  main { max-width: none; }
  section { margin-top: 24px; }
  h2 { break-after: avoid; }
  figure, .tiles li, tr { break-inside: avoid; }
  .tiles li, pre { border: 1px solid var(--line); }
  .sheet img { width: 56px; height: 56px; }
  pre { white-space: pre-wrap; }
}
"""

# The policy makes "nothing to fetch" a promise that the browser keeps, whatever is in the data.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<footer>Made by Orchard on {created}. The same facts, for programs, are in <code>report.json</code>.</footer>
</body>
</html>
"""
