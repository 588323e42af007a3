"""The templates of the pages, by their paths below the package, and what they may call."""

import base64
import re
from importlib import resources

import jinja2
from markupsafe import Markup

from orchard.photos.photo import REASONS, hint
from orchard.report.text import count, duration, percent, rate, when


def load(name: str) -> jinja2.Template:
    """A template, compiled together with the base of all pages: `report/page.html` for one."""
    _ENVIRONMENT.get_template("report/base.html")
    return _ENVIRONMENT.get_template(name)


def printable(value: object) -> object:
    """A value without what neither HTML nor UTF-8 can hold: control characters and lone surrogates."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\N{REPLACEMENT CHARACTER}", value)


def _read(name: str) -> str:
    return resources.files("orchard").joinpath(name).read_text("utf-8")


_ENVIRONMENT = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=printable,
    loader=jinja2.FunctionLoader(_read),
)
_ENVIRONMENT.globals |= {"REASONS": REASONS}
_ENVIRONMENT.globals |= {function.__name__: function for function in (count, duration, hint, percent, rate, when)}
_ENVIRONMENT.filters["base64"] = lambda content: base64.b64encode(content).decode()
