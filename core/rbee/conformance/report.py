"""What was found, for programs."""

from __future__ import annotations

from xml.etree import ElementTree as ET  # nothing is read

import msgspec

from rbee.conformance.runner import Report


def as_json_bytes(report: Report) -> bytes:
    """One JSON document."""
    told = msgspec.to_builtins(report)
    outcomes = told.pop("outcomes")
    counts = {verdict: report.count(verdict) for verdict in ("kept", "broken", "skipped")}
    return msgspec.json.encode({**told, **counts, "checks": outcomes})


def as_junit(report: Report) -> bytes:
    """The report in JUnit's XML, one test case a promise, as build servers read it."""
    suite = ET.Element(
        "testsuite",
        name="rbee conformance worker",
        tests=str(len(report.outcomes)),
        failures=str(report.count("broken")),
        skipped=str(report.count("skipped")),
        errors="0",
        time=f"{sum(one.seconds for one in report.outcomes):.3f}",
    )
    for one in report.outcomes:
        case = ET.SubElement(suite, "testcase", classname="worker", name=f"{one.id} {one.promise}")
        case.set("time", f"{one.seconds:.3f}")
        if one.verdict != "kept":
            tag = "failure" if one.verdict == "broken" else "skipped"
            ET.SubElement(case, tag, message=_xml(one.detail or ""))
    document: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _xml(text: str) -> str:
    """What XML may hold: a worker's words may have control characters and halves of surrogate pairs."""
    return "".join(char if char.isprintable() else "?" for char in text)
