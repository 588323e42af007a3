from __future__ import annotations

import time
from pathlib import Path

import pytest
from orchard.photos.manifest import arrange, to_table
from orchard.photos.source import open_source
from orchard.report.render import contact_sheet
from orchard.storage import objects

from tests.s3.server import BUCKET, Faults, blobs_of, serving


def test_a_page_whose_photos_are_out_of_reach_has_no_pictures(
    aws: None, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = to_table(arrange(open_source(str(drawn)).photos()))
    labels = sorted(folder.name for folder in drawn.iterdir())
    with serving(blobs_of(drawn)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.address)
        objects.forget()
        source = open_source(f"s3://{BUCKET}")
        assert len(contact_sheet(source, manifest, labels)) == 24
        endpoint.faults = Faults(keys=dict.fromkeys(endpoint.blobs, "503"))
        started = time.monotonic()
        assert contact_sheet(source, manifest, labels) == []
        assert time.monotonic() - started < 5
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        objects.forget()
        assert contact_sheet(source, manifest, labels) == []
