"""Authors of plugins read what each version of the contract has changed."""

from pathlib import Path

from rbee.contract import CONTRACT_VERSION

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "publish.md"


def test_the_version_of_now_stands_first_in_the_table_of_versions():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| 0.")]
    assert rows[0].startswith(f"| {CONTRACT_VERSION} |")
