"""Build every distribution, install the wheels into a fresh environment, and use them as a stranger would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
DISTRIBUTIONS = (
    "rbee",
    "rbee_demo",
    "rbee_echo",
    "rbee_exllamav2",
    "rbee_huggingface",
    "rbee_llamacpp",
    "rbee_local",
    "rbee_mlx",
    "rbee_nvidia",
    "rbee_path",
)
ANSWER = "Python is an interpreted, interactive, object-oriented programming language."


def main() -> None:
    """Run all checks; the first that fails ends the program."""
    work = Path(sys.argv[1]) / "wheels"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    wheels = build(work / "dist")
    python = install(work, wheels)
    use(work, python)
    start_from_the_template(work, python)
    follow_the_tutorial(work, python)
    print("wheels: built, installed and used")


def build(dist: Path) -> list[Path]:
    """All wheels of the workspace; each carries its licence or says it, and no test."""
    run("uv", "build", "--quiet", "--all-packages", "--out-dir", str(dist), cwd=ROOT)
    wheels = sorted(dist.glob("*.whl"))
    built = sorted(wheel.name.split("-")[0] for wheel in wheels)
    check(built == sorted(DISTRIBUTIONS), f"the workspace builds {built}")
    for wheel in wheels:
        names = subprocess.run(
            [sys.executable, "-m", "zipfile", "-l", str(wheel)], check=True, capture_output=True, text=True
        ).stdout
        check("py.typed" in names, f"{wheel.name} says that it is typed")
        check("/tests/" not in names, f"{wheel.name} carries no tests")
    return wheels


def install(work: Path, wheels: list[Path]) -> Path:
    """A fresh environment with the wheels and what they need, pinned as in a checkout."""
    run("uv", "venv", "--quiet", str(work / "venv"))
    python = work / "venv" / "bin" / "python"
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    constraints = work / "constraints.txt"
    constraints.write_text("\n".join(pins["constraint-dependencies"]) + "\n", encoding="utf-8")
    core = next(str(wheel) for wheel in wheels if wheel.name.startswith("rbee-"))
    run(
        "uv", "pip", "install", "--quiet", "--python", str(python), "--constraint", str(constraints),
        # Wheels of the same name that were built here before may be in uv's cache, with what they were then.
        *(f"--refresh-package={one}" for one in ("rbee", "rbee-demo", "rbee-local", "rbee-llamacpp", "rbee-echo")),
        "--find-links", str(work / "dist"), f"rbee[demo,local] @ file://{core}",
        cwd=work,
    )  # fmt: skip
    return python


def use(work: Path, python: Path) -> None:
    """The main job, away from the checkout."""
    rbee = str(python.parent / "rbee")
    environment = {"PATH": os.environ["PATH"], "RBEE_HOME": str(work / "home"), "LANG": "C.UTF-8"}
    listed = run(rbee, "plugins", cwd=work, env=environment)
    for name in ("builtin", "demo", "llamacpp", "local"):
        check(name in listed, f"`rbee plugins` lists {name}")
    check("echo" not in listed, "`rbee plugins` lists only what was installed")
    answer = run(rbee, "run", "demo", "What is Python?", "--temperature", "0", cwd=work, env=environment)
    check(answer.strip() == ANSWER, f"`rbee run demo` answers {answer.strip()!r}")


def start_from_the_template(work: Path, python: Path) -> None:
    """What `contrib/template` says: render, install, run its tests, use it."""
    into = work / "made"
    into.mkdir()
    run(str(python), str(ROOT / "contrib" / "template" / "render.py"), "babble", "--into", str(into), cwd=work)
    plugin = into / "rbee-babble"
    left = [
        path
        for path in plugin.rglob("*")
        if "example" in path.name or (path.is_file() and "example" in path.read_text())
    ]
    check(not left, "a rendered template has the new name everywhere")
    add(python, work, str(plugin), "pytest", "pytest-asyncio")
    done = run(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(plugin / "tests"), cwd=plugin)
    check(" passed" in done and "failed" not in done, f"its tests: {done.splitlines()[-1]}")
    environment = {"PATH": os.environ["PATH"], "RBEE_HOME": str(work / "home"), "LANG": "C.UTF-8"}
    rbee = str(python.parent / "rbee")
    check("babble" in run(rbee, "plugins", cwd=work, env=environment), "`rbee plugins` lists it")
    said = run(rbee, "run", "babble:song", "R", "--max-tokens", "20", "--temperature", "0", cwd=work, env=environment)
    check(bool(said.strip()), f"`rbee run babble:song` babbles {said.strip()!r}")


def follow_the_tutorial(work: Path, python: Path) -> None:
    """What docs/plugins/tutorial.md says, word by word: its files, then its commands."""
    page = (ROOT / "docs" / "plugins" / "tutorial.md").read_text(encoding="utf-8")
    folder = work / "tutorial"
    files = re.findall(r"^`(rbee-echo/[\w./-]+)`\n\n```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, text in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    check(len(files) >= 8, f"the tutorial has {len(files)} files")
    add(python, work, str(folder / "rbee-echo"), "hypothesis")
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "RBEE_HOME": str(work / "home"),
        "LANG": "C.UTF-8",
    }
    commands = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in commands for line in block.splitlines() if line.startswith("$ ")]
    for line in lines:
        if not line.startswith(("pip ", "python -m venv")):
            print(f"wheels: the tutorial's `{line}`")
            run("bash", "-ec", line, cwd=folder, env=environment)


def add(python: Path, work: Path, *what: str) -> None:
    """Install more into the environment, pinned as in a checkout."""
    constraints = str(work / "constraints.txt")
    run("uv", "pip", "install", "--quiet", "--python", str(python), "--constraint", constraints, *what, cwd=work)


def run(*argv: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed."""
    return subprocess.run(argv, check=True, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, timeout=300).stdout


def check(truth: bool, what: str) -> None:
    """Say what is true, or end."""
    if not truth:
        raise SystemExit(f"wheels: not true: {what}")
    print(f"wheels: {what}")


if __name__ == "__main__":
    main()
