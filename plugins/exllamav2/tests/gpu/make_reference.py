"""Writes reference.json: greedy answers of rbee-tiny in F16 as transformers gives them on a processor.

    python make_reference.py FOLDER_OF_THE_MODEL

Needs torch and transformers; run it again when the model changes.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

TOKENS = 48
CLOSE = 0.1
"""Logits that lie closer than this to the best may swap places in other kernels; the answer is compared up to there."""
PLAIN = ["The os module", "Once upon a time", "def main():\n    "]
ASKED = ["Who are you?", "What is Python?", "What is a list?"]


def main() -> None:
    folder = Path(sys.argv[1])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16).eval()
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        for text in ASKED
    ]
    answers = []
    for text in [*PLAIN, *chats]:
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids, margins = greedy(model, prompt)
        answers.append(
            {"text": text, "prompt": prompt, "answer": ids, "said": tokenizer.decode(ids), "margins": margins}
        )
    written = {
        "model": "rbee-tiny, safetensors, float16",
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "close": CLOSE,
        "answers": answers,
    }
    Path(__file__).with_name("reference.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def greedy(model, prompt: list[int]) -> tuple[list[int], list[float]]:
    """Tokens, the end of the text among them, and how far ahead of the next one each was, in logits."""
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    ids: list[int] = []
    margins: list[float] = []
    while len(ids) < TOKENS and not (ids and ids[-1] in ends):
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, -1].float()
        best = torch.topk(logits, 2)
        ids.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 4))
    return ids, margins


if __name__ == "__main__":
    main()
