"""What `rbee bench` found, for a person."""

from __future__ import annotations

from rbee.cli.console import say
from rbee.cli.format import UNKNOWN, line, text
from rbee.cli.tables import print_table
from rbee.contract.wire import Benched, BenchRow, WorkerBench

_HEADINGS = (
    "WORKER",
    "MODEL",
    "HIVE",
    "DEVICE",
    "STREAMS",
    "PROMPT",
    "PROMPT/S",
    "ALL",
    "ANSWER/S",
    "ALL",
    "SPREAD",
    "FIRST",
)
_RIGHT = frozenset({"STREAMS", "PROMPT", "PROMPT/S", "ALL", "ANSWER/S", "SPREAD", "FIRST"})


def print_benched(found: Benched) -> None:
    """Print a row for each worker and number of answers, and what was left out."""
    rows = [_cells(worker, row) for worker in found.workers for row in worker.rows]
    if rows:
        print_table(_HEADINGS, rows, right=_RIGHT, whole={"WORKER"})
        say(
            "PROMPT/S and ANSWER/S are tokens a second of one request, ALL of all that ran at the same time;\n"
            "PROMPT is its length in tokens, FIRST the time to the first text. SPREAD is how far ANSWER/S of the\n"
            "rounds lie apart: much of it says that the machine was busy with something else."
        )
    for worker in found.workers:
        if worker.left_out:
            numbers = ", ".join(map(str, worker.left_out))
            say(line(f"{worker.worker_id} has {text(worker.slots)} slots: not measured with {numbers} answers."))


def _cells(worker: WorkerBench, row: BenchRow) -> tuple[str, ...]:
    return (
        worker.worker_id,
        text(worker.model_name or worker.model_id),
        text(worker.hive_id),
        text(worker.device),
        str(row.streams),
        text(row.prompt_tokens),
        rate(row.prefill_tok_s),
        rate(row.prefill_total_tok_s),
        rate(row.decode_tok_s),
        rate(row.decode_total_tok_s),
        UNKNOWN if row.decode_spread is None else f"{row.decode_spread:.0%}",
        UNKNOWN if row.first_token_s is None else f"{row.first_token_s * 1000:.0f} ms",
    )


def rate(tok_s: float | None) -> str:
    """Tokens a second, with as many digits as tell something."""
    if tok_s is None:
        return UNKNOWN
    return f"{tok_s:.1f}" if tok_s < 100 else f"{tok_s:.0f}"
