"""Pages hang together: links, commands, fragments, and what the README promises."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from docs.reading import blocks, pages, section, short
from rbee.cli.main import cli

TYPES = {"breaking", "feature", "bugfix", "security", "doc", "removal"}
TWO_COMMANDS = [
    'python3 -m pip install uv && uv run rbee run demo "What is Python?"',
    "python3 -m pip install uv && uv run tox",
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SHELLS = ("console", "sh", "bash", "shell")
SEPARATORS = {"|", "||", "&&", ";", "&", "(", ")", ">", ">>", "<"}


def anchors(text: str) -> set[str]:
    """The names that headings get."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", one).strip().lower()) for one in headings}


def commands_in(block: str) -> list[list[str]]:
    """Every call of rbee in a shell block, as arguments."""
    found = []
    for raw in block.replace("\\\n", " ").splitlines():
        line = re.sub(r"^\$ ", "", raw.strip())
        found.extend(shlex.split(inner)[1:] for inner in re.findall(r"\$\((rbee [^()]*)\)", line))
        lexer = shlex.shlex(re.sub(r"\$\([^()]*\)", "x", line), posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        lexer.whitespace_split = True
        call: list[str] = []
        for token in [*lexer, ";"]:
            if token in SEPARATORS:
                while call and ("=" in call[0] or call[:2] == ["uv", "run"]):
                    call = call[2:] if call[0] == "uv" else call[1:]
                if call[:1] == ["rbee"]:
                    found.append(call[1:])
                call = []
            else:
                call.append(token)
    return found


def check(arguments: list[str]) -> None:
    """Parse a call as the program would, without running it."""
    command: click.Command = cli
    context: click.Context | None = None
    rest = list(arguments)
    while True:
        try:
            context = command.make_context(command.name or "rbee", rest, parent=context)
        except click.exceptions.Exit:
            return
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found


SHELL_PAGES = [path for path in pages() if blocks(path.read_text("utf-8"), *SHELLS)]


@pytest.mark.parametrize("page", SHELL_PAGES, ids=short)
def test_commands_in_shell_examples_exist_with_their_options(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), *SHELLS):
        for arguments in commands_in(block):
            check(arguments)


def test_the_check_of_shell_examples_finds_mistakes() -> None:
    block = 'git diff | rbee run demo --sytem x\nX=1 rbee up && uv run rbee nothing\ncat "$(rbee config path token)"\n'
    found = commands_in(block)
    assert found == [["run", "demo", "--sytem", "x"], ["up"], ["nothing"], ["config", "path", "token"]]
    for wrong in (found[0], found[2]):
        with pytest.raises(click.UsageError):
            check(wrong)


@pytest.mark.parametrize("page", pages(), ids=short)
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    assert not broken


def test_links_from_the_site_stay_in_the_site(docs: Path) -> None:
    outside = [
        (short(page), link)
        for page in docs.rglob("*.md")
        for link in LINK.findall(page.read_text("utf-8"))
        if not re.match(r"[a-z]+:|#", link) and not (page.parent / link).resolve().is_relative_to(docs)
    ]
    assert not outside


def test_every_page_stands_in_the_navigation(root: Path, docs: Path) -> None:
    def leaves(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        parts = node if isinstance(node, list) else node.values()
        return [leaf for part in parts for leaf in leaves(part)]

    nav = leaves(yaml.safe_load((root / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(nav) == sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))


def test_the_readme_holds_exactly_the_two_commands(root: Path) -> None:
    readme = (root / "README.md").read_text("utf-8")
    told = [block.strip() for block in blocks(section(readme, "## Two commands"), *SHELLS)]
    assert told == TWO_COMMANDS
    for command in TWO_COMMANDS:
        assert readme.count(command) == 1


def test_the_readme_lists_every_command_and_extra(root: Path) -> None:
    readme = (root / "README.md").read_text("utf-8")
    rows = "\n".join(line for line in readme.splitlines() if line.startswith("| `rbee "))
    for name in cli.list_commands(click.Context(cli)):
        assert re.search(rf"`rbee {name}\b", rows), name
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"`rbee\[(\w+)\]`", readme)) == set(extras)


def test_contributing_lists_every_environment(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text("utf-8")
    ini = (root / "tox.ini").read_text("utf-8")
    environments = set(re.findall(r"^\[testenv:([\w-]+)\]", ini, re.MULTILINE))
    told = re.search(r"\| environment \|.*?\n\n", text, re.DOTALL)
    assert told
    assert set(re.findall(r"`([\w-]+)`", told[0])) == environments


def test_every_fragment_of_the_changelog_has_a_known_type(root: Path) -> None:
    configured = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"].get("towncrier", {})
    known = {one["directory"] for one in configured.get("type", [])} or TYPES
    assert known == TYPES
    readme = (root / "changes" / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE)) == known
    fragments = [path for path in (root / "changes").iterdir() if path.name != "README.md"]
    for path in fragments:
        found = re.fullmatch(r"(?:\d+|\+[a-z0-9-]+)\.([a-z]+)\.md", path.name)
        assert found, path.name
        assert found[1] in known, path.name
        text = path.read_text("utf-8")
        assert 0 < len(text.split()) < 60, path.name


def test_the_site_takes_nothing_from_other_hosts(root: Path, docs: Path) -> None:
    config = (root / "mkdocs.yml").read_text("utf-8")
    assert "://" not in config
    assert yaml.safe_load(config)["theme"]["font"] is False
    foreign = re.compile(r"!\[.*\]\(http|<script|mermaid")
    assert not [page for page in docs.rglob("*.md") if foreign.search(page.read_text("utf-8"))]
