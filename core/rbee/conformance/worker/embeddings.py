"""Vectors and ranks, where declared."""

from __future__ import annotations

import base64
import math

from rbee.conformance.checks import Check, require
from rbee.conformance.subject import Subject
from rbee.contract.types import Capability
from rbee.contract.wire.openai_api import EmbeddingAnswer, OpenAiErrorEnvelope, RerankAnswer

_EMBED = frozenset({Capability.EMBEDDINGS})
_RERANK = frozenset({Capability.RERANK})
_TEXTS = ("A rose is red.", "Snow is white.", "A rose is red.")
_TOP = 2
_FLOAT_BYTES = 4


async def _vectors(subject: Subject) -> None:
    body = {"model": subject.model, "input": list(_TEXTS)}
    told = (await subject.http.ask("POST", "/v1/embeddings", body)).read(EmbeddingAnswer)
    indices = [one.index for one in told.data]
    require(indices == list(range(len(_TEXTS))), f"the indices are {indices}")
    vectors = [one.embedding for one in told.data if isinstance(one.embedding, list)]
    sizes = {len(one) for one in vectors}
    require(len(vectors) == len(_TEXTS) and len(sizes) == 1 and 0 not in sizes, f"the vectors' lengths are {sizes}")
    require(all(math.isfinite(number) for one in vectors for number in one), "a vector has a number that is none")
    near = math.dist(vectors[0], vectors[2])
    far = math.dist(vectors[0], vectors[1])
    require(near < far, f"the same text is {near:g} from itself, another one {far:g}")
    require(told.usage.prompt_tokens >= 1, f"prompt_tokens is {told.usage.prompt_tokens}")


async def _formats(subject: Subject) -> None:
    body = {"model": subject.model, "input": _TEXTS[0]}
    floats = (await subject.http.ask("POST", "/v1/embeddings", body)).read(EmbeddingAnswer).data[0].embedding
    answer = await subject.http.ask("POST", "/v1/embeddings", {**body, "encoding_format": "base64"})
    if answer.status == 400:
        param = answer.read(OpenAiErrorEnvelope, status=400).error.param
        require(param == "encoding_format", f"{answer}: param is {param!r}, not 'encoding_format'")
        return
    packed = answer.read(EmbeddingAnswer).data[0].embedding
    require(isinstance(packed, str), "encoding_format base64 gave numbers, and was not refused")
    size = len(base64.b64decode(str(packed))) // _FLOAT_BYTES
    require(size == len(floats), f"in base64 the vector has {size} numbers, else {len(floats)}")


async def _ranks(subject: Subject) -> None:
    documents = ["Snow is white.", "A rose is red.", "Grass is green."]
    body = {"model": subject.model, "query": "What is red?", "documents": documents}
    told = (await subject.http.ask("POST", "/v1/rerank", body)).read(RerankAnswer).results
    require(sorted(one.index for one in told) == [0, 1, 2], f"the indices are {[one.index for one in told]}")
    scores = [one.relevance_score for one in told]
    require(scores == sorted(scores, reverse=True), f"the scores are {scores}, not the best first")
    best = (await subject.http.ask("POST", "/v1/rerank", {**body, "top_n": _TOP})).read(RerankAnswer).results
    require(
        [one.index for one in best] == [one.index for one in told[:_TOP]],
        f"top_n {_TOP} gave {[one.index for one in best]}, not the first of {[one.index for one in told]}",
    )


CHECKS = (
    Check(
        id="W-EMBED-1",
        promise="Every input gets a vector of one length, in order, the same text the same one.",
        run=_vectors,
        needs=_EMBED,
    ),
    Check(
        id="W-EMBED-2",
        promise="encoding_format base64 packs the vector, or is refused by name.",
        run=_formats,
        needs=_EMBED,
    ),
    Check(
        id="W-RERANK-1",
        promise="Every document gets a score, the best first, and top_n of them where asked.",
        run=_ranks,
        needs=_RERANK,
    ),
)
