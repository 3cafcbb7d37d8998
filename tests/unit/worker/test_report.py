"""The pipe from a loading worker to its hive."""

from __future__ import annotations

import os

from rbee.contract.worker_args import LoadReport
from rbee.worker.report import ReportPipe


def test_each_report_is_one_line() -> None:
    reading, writing = os.pipe()
    pipe = ReportPipe(writing)
    pipe.send(LoadReport(stage="reading"))
    pipe.send(LoadReport(ready=True))
    assert not os.get_inheritable(writing)
    pipe.close()
    with os.fdopen(reading, "rb") as lines:
        assert lines.read() == b'{"stage":"reading"}\n{"ready":true}\n'


def test_a_hive_that_has_died_and_a_pipe_that_never_was_make_it_silent() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for pipe in (ReportPipe(writing), ReportPipe(None)):
        pipe.send(LoadReport(ready=True))
        pipe.close()
        pipe.close()
        pipe.send(LoadReport(ready=True))
