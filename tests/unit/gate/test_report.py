"""The report is one file with nothing external in it, drawn from the evidence alone."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from bascule.documents.evidence import Bucket, Evidence, LatencySummary, OrderLedger, Reason, StepTiming
from bascule.errors import DocumentError
from bascule.gate.charts import build_chart
from bascule.gate.report import EvidenceUnreadable, ReportUnwritable, read_evidence, render_report, write_report
from bascule.release import Release

STEPS = (
    StepTiming("a", "Start <api-1>", "roll", "done", 3.0, 2.5, 5.0),
    StepTiming("b", "Contract", "contract", "done", 1.0, 1.0, 9.0, point_of_no_return=True),
    StepTiming("c", "Verify", "verify", "pending", 1.0, None, None),
)
BUCKETS = tuple(
    Bucket(second, 60, 3 if second == 6 else 0, None if second == 7 else 5.0, 20.0 + second, {"1": 30, "2": 30})
    for second in range(12)
)
EVIDENCE = Evidence(
    verdict="REFUSE",
    reasons=(Reason("failed-requests", "REFUSE", "3 requests <script>failed</script>", {"count": 3}),),
    source=Release.parse("1"),
    target=Release.parse("2"),
    requests=720,
    failed=3,
    lost=0,
    wrong=0,
    resurrected=0,
    stale=0,
    unread=0,
    orders=OrderLedger(4, 4, 0, 0),
    load_rate_per_s=60.0,
    load_seconds=12.0,
    started_at=1_000_000.0,
    answers_by_release={"1": 360, "2": 360},
    latency=(LatencySummary("all", 720, 5.0, 9.0, 20.0, 30.0, 31.0),),
    steps=STEPS,
    buckets=BUCKETS,
)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_loads_nothing_and_runs_nothing():
    text = render_report(EVIDENCE)
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?://|@import|url\(", text)
    assert all(not {"src", "href", "onload"} & attributes.keys() for _, attributes in page.tags)
    assert "prefers-color-scheme: dark" in text
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_page_says_the_verdict_its_reasons_and_every_step():
    words = " ".join(Page(render_report(EVIDENCE)).words)
    for said in (
        "REFUSE",
        "3 requests <script>failed</script>",
        "Start <api-1>",
        "point of no return",
        "Verify",
        "720",
    ):
        assert said in words


def test_the_picture_is_well_formed():
    svg = re.search(r"<svg.*</svg>", render_report(EVIDENCE), re.DOTALL).group()
    root = ET.fromstring(svg)
    classes = [element.get("class") or "" for element in root.iter()]
    assert classes.count("failed") == 1
    assert {"ok", "line p50", "line p99", "source", "target", "pnr", "step no-return"} <= set(classes)


def test_everything_stands_on_one_time_axis():
    chart = build_chart(EVIDENCE)
    contract = next(bar for bar in chart.steps if bar.label.startswith("Contract"))
    assert contract.x == chart.point_of_no_return
    per_second = (chart.right - chart.left) / 12
    assert contract.x == pytest.approx(chart.left + 9 * per_second, abs=0.1)
    assert chart.failed[0].x == pytest.approx(chart.left + 6 * per_second, abs=0.1)
    assert chart.failed[0].height >= 4


def test_a_second_without_an_answer_breaks_the_latency_line():
    chart = build_chart(EVIDENCE)
    assert chart.p50.count("M") == 2
    assert chart.p99.count("M") == 1


def test_steps_before_the_load_widen_the_axis():
    early = dataclasses.replace(STEPS[0], offset_s=-30.0)
    chart = build_chart(dataclasses.replace(EVIDENCE, steps=(early, *STEPS[1:])))
    assert chart.steps[0].x == chart.left
    assert chart.point_of_no_return > chart.left + (chart.right - chart.left) * 0.9


def test_a_run_without_load_or_steps_still_has_a_report():
    text = render_report(dataclasses.replace(EVIDENCE, buckets=(), steps=(), latency=(), answers_by_release={}))
    assert "REFUSE" in text


def test_written_evidence_is_read_back_and_gives_the_same_page(tmp_path):
    html, plain = write_report(EVIDENCE, tmp_path / "new")
    assert read_evidence(plain) == EVIDENCE
    assert html.read_text() == render_report(read_evidence(plain))
    assert sorted(path.name for path in html.parent.iterdir()) == ["report.html", "report.json"]


def test_a_report_that_cannot_be_written_or_read_says_so(tmp_path):
    (tmp_path / "file").write_text("{")
    with pytest.raises(ReportUnwritable, match="cannot be written to"):
        write_report(EVIDENCE, tmp_path / "file" / "below")
    with pytest.raises(EvidenceUnreadable, match="cannot be read"):
        read_evidence(tmp_path / "file")
    (tmp_path / "file").write_text("{}")
    with pytest.raises(DocumentError, match="lacks the key 'verdict'"):
        read_evidence(tmp_path / "file")
