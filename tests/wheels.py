"""Build every distribution, install the wheels into a fresh environment, and use them as a stranger would."""

from __future__ import annotations

import os
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
