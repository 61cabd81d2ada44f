"""The page of a run in progress."""

import contextlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from run_examples import TEXT, plan_of

from kmc_oxy.execution import LivePage, live_page, run_serial
from kmc_oxy.process import Interrupted
from kmc_oxy.storage import begin_or_resume

NAMED = TEXT.replace("name: a test", "name: a < b")


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Runs until a number of tasks is finished; the texts that the page had."""

    def run(tasks, interval_s=0.0):
        monkeypatch.setattr(live_page, "INTERVAL_S", interval_s)
        monkeypatch.setattr(live_page, "LARGEST_SHARE", float("inf") if interval_s == 0 else 0.005)
        plan, texts, done = plan_of(NAMED), [], []
        work = begin_or_resume(tmp_path / "out.h5", plan.identity)
        page = LivePage(plan, work)
        assert page.path == tmp_path / "out.live.html"

        def report(progress):
            page(progress)
            done.append(progress.done)
            if progress.done not in done[:-1] and page.path.exists():
                texts.append(page.path.read_text(encoding="utf-8"))

        with contextlib.suppress(Interrupted):
            run_serial(plan, work, report_progress=report, stop=lambda: done[-1:] == [tasks])
        page.close()
        work.release()
        return texts, page.path.read_text(encoding="utf-8")

    return run


def charts(text):
    return [ElementTree.fromstring(found) for found in re.findall("<svg.*?</svg>", text, re.S)]


def test_it_shows_what_is_finished_and_loads_itself_again(pages):
    texts, last = pages(3)
    assert len(texts) == 4 and texts[-1] != last
    for done, text in enumerate(texts):
        assert f"{done} of 8 finished" in text and "a &lt; b" in text and "time left" in text
        assert 'http-equiv="refresh"' in text and "<script" not in text
        lines = [line for chart in charts(text) for line in chart.iter("polyline")]
        assert len(lines) == done
    assert "No member is finished yet." in texts[0]
    # 4 and 6 readings of two trains after a pulse, the second at another point of the scan.
    lengths = [len(line.get("points").split()) for line in charts(texts[3])[0].iter("polyline")]
    assert lengths == [5, 5, 5]
    assert "Stopped: the same line resumes." in last and "refresh" not in last


def test_a_finished_run_says_so(pages):
    _, last = pages(9)
    assert "All tasks are finished." in last and "refresh" not in last and "time left" not in last
    assert last.count("<li>") == 4 and "protocol.1.train.count 5" in last
    strokes = {line.get("stroke") for line in charts(last)[0].iter("polyline")}
    assert len(strokes) == 4


def test_it_takes_a_small_share_of_the_time(pages, monkeypatch):
    """A page that takes long is written less often."""
    clock = [0.0]
    monkeypatch.setattr(live_page.time, "monotonic", lambda: clock[0])
    written = []

    def write(page, progress, *, ended):
        written.append(clock[0])
        clock[0] += 0.1

    monkeypatch.setattr(LivePage, "_write", write)
    plan = plan_of(NAMED)
    page = LivePage(plan, type("Work", (), {"output": Path("out.h5")}))
    progress = live_page.Progress(8, 0, 0.1, 1, 1.0, 1.0, 1.0)
    while clock[0] < 100:
        page(progress)
        clock[0] += 0.05
    assert len(written) >= 4 and 0.1 * len(written) < 0.01 * clock[0]


def test_a_page_that_cannot_be_written_is_one_warning(pages, tmp_path, caplog):
    (tmp_path / "out.live.html").mkdir()
    with pytest.raises(IsADirectoryError):
        pages(9)
    (record,) = [r for r in caplog.records if "live page" in r.getMessage()]
    assert record.levelname == "WARNING"
    assert (tmp_path / "out.h5.work" / "tasks").exists()
