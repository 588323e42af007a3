"""A page as a browser reads it, and text that must not harm it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr"}
HOSTILE = [
    "<script>alert(1)</script>",
    "a&b&amp;",
    "\"quoted\" 'twice'",
    "🍎",
    "{{ 7 * 7 }} {% x %} %s \\",
    "</style>\udcff",
]


class Page(HTMLParser):
    """A parsed page; fails if a tag does not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack[-1:] != ["style"]:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.pieces).replace("\N{NO-BREAK SPACE}", " ")

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]
