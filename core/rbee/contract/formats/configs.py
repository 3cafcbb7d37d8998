"""The JSON files that lie beside weights: what the model is, and its chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from rbee.contract.figures import ModelFigures
from rbee.contract.formats.numbers import counted
from rbee.contract.formats.opening import read_bounded
from rbee.contract.formats.refusals import only_refusals, refusal

T = TypeVar("T")

CONFIG: Final = "config.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
TEMPLATE: Final = "chat_template.jinja"
LARGEST_CONFIG: Final = 4 << 20
LARGEST_TOKENIZER_CONFIG: Final = 32 << 20
LARGEST_LENIENT: Final = 1 << 20
MOST_COLONS: Final = 1 << 20
"""Each entry has one: what is decoded stays small."""
LONGEST_TEMPLATE: Final = 256 << 10
LARGEST_TEMPLATES: Final = 2 << 20
"""Bytes of JSON, of all templates of a model together."""
FOUR_BITS: Final = frozenset({"mxfp4", "nvfp4"})
"""Ways to quantise that need not say how many bits they leave."""
OWN_FORMATS: Final = frozenset({"exl2", "exl3"})
"""Ways to quantise after which the weights, though in safetensors files, are a format of their own: other engines open
them.  They leave as many bits as was asked for on the average, which need not be whole."""

_DTYPES: Final = (("bfloat16", "BF16"), ("float16", "F16"), ("float32", "F32"))


class Config(msgspec.Struct, frozen=True):
    """What is read of ``config.json``; its writers keep to no schema, so that every value may be anything."""

    model_type: Any = None
    max_position_embeddings: Any = None
    num_hidden_layers: Any = None
    hidden_size: Any = None
    num_attention_heads: Any = None
    num_key_value_heads: Any = None
    head_dim: Any = None
    v_head_dim: Any = None
    vocab_size: Any = None
    layer_types: Any = None
    torch_dtype: Any = None
    dtype: Any = None
    quantization_config: Any = None
    quantization: Any = None
    text_config: Any = None


class _TokenizerConfig(msgspec.Struct, frozen=True):
    chat_template: msgspec.Raw = msgspec.Raw(b"null")


def read_config(folder: Path) -> Config:
    """``config.json``.

    Raises:
        ModelFileError: it cannot be read, or is no JSON object.
    """
    return read_json(folder / CONFIG, Config, LARGEST_CONFIG)


def read_json(path: Path, shape: type[T], most: int) -> T:
    """A small JSON file; numbers without an end, which some writers put there, do no harm.

    Raises:
        ModelFileError: it cannot be read, is no JSON, or not of that shape.
    """
    data = read_bounded(path, most)
    with only_refusals(str(path)):
        if data.count(b":") > MOST_COLONS:
            raise refusal(str(path), f"has more than {MOST_COLONS} entries", "check what it is")
        try:
            return msgspec.json.decode(data, type=shape)
        except msgspec.DecodeError as error:
            if isinstance(error, msgspec.ValidationError) or len(data) > LARGEST_LENIENT:
                raise
            # Numbers without an end become null on the way.
            return msgspec.json.decode(msgspec.json.encode(json.loads(data)), type=shape)


def figures_of(config: Config) -> ModelFigures:
    """Figures that stand in a configuration; of a model that takes pictures too, those of its part for text.

    Raises:
        msgspec.ValidationError: that part is no JSON object with names.
    """
    if isinstance(config.text_config, dict):
        inner = msgspec.convert(config.text_config, Config)
        fields = msgspec.structs.asdict(inner)
        kept = {name: value for name, value in fields.items() if value is not None}
        config = msgspec.structs.replace(config, **{**kept, "model_type": config.model_type or inner.model_type})
    head = counted(config.head_dim)
    return ModelFigures(
        architecture=_word(config.model_type),
        quantization=_quantization(config),
        context_length=counted(config.max_position_embeddings),
        layers=_layers(config),
        embedding_length=counted(config.hidden_size),
        heads=_largest(config.num_attention_heads),
        kv_heads=_largest(config.num_key_value_heads),
        key_length=head,
        value_length=counted(config.v_head_dim) or head,
        vocabulary=counted(config.vocab_size),
    )


def format_of(config: Config) -> str:
    """The model format of a folder with this configuration: ``safetensors``, or one of `OWN_FORMATS`."""
    method = _method(_quantized(config)).lower()
    return method if method in OWN_FORMATS else "safetensors"


def bits_of(config: Config) -> int | None:
    """Bits of a quantised weight; None for a model that is not quantised, does not say, or has them mixed."""
    told = _quantized(config)
    if format_of(config) in OWN_FORMATS:
        return None
    if told.get("load_in_4bit") is True or _method(told) in FOUR_BITS:
        return 4
    bits = told.get("bits")
    return bits if isinstance(bits, int) and bits in {2, 3, 4, 5, 6, 8} else None


def chat_template(folder: Path) -> str | None:
    """The model's own template; None when it has none, or one that is too long.

    Raises:
        ModelFileError: a file that should hold it is damaged.
    """
    if (folder / TEMPLATE).is_file():
        with only_refusals(str(folder / TEMPLATE)):
            return _kept(read_bounded(folder / TEMPLATE, LARGEST_CONFIG).decode("utf-8"))
    if not (folder / TOKENIZER_CONFIG).is_file():
        return None
    told = read_json(folder / TOKENIZER_CONFIG, _TokenizerConfig, LARGEST_TOKENIZER_CONFIG).chat_template
    if len(memoryview(told)) > LARGEST_TEMPLATES:
        return None
    with only_refusals(str(folder / TOKENIZER_CONFIG)):
        return _kept(_default(msgspec.json.decode(told)))


def _default(told: object) -> object:
    """Some models have several templates, each with a name."""
    if not isinstance(told, list):
        return told
    named = (one for one in told if isinstance(one, dict) and one.get("name") == "default")
    return next(named, {}).get("template")


def _kept(text: object) -> str | None:
    if not isinstance(text, str) or not text or len(text) > LONGEST_TEMPLATE:
        return None
    # Half of a character, which JSON can hold, cannot be passed on.
    return text if len(text.encode("utf-8")) <= LONGEST_TEMPLATE else None


def _quantization(config: Config) -> str | None:
    told = _quantized(config)
    if _method(told) in {"fp8", *FOUR_BITS}:
        return _method(told).upper()
    if format_of(config) in OWN_FORMATS:
        return _average(told.get("bits"))
    if told:
        bits = bits_of(config)
        return f"{bits}BIT" if bits else None
    dtype = config.torch_dtype or config.dtype
    return dict(_DTYPES).get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else None


def _average(bits: object) -> str | None:
    if not isinstance(bits, int | float) or isinstance(bits, bool):
        return None
    return f"{float(bits)}BPW" if 0 < bits < 64 else None


def _quantized(config: Config) -> dict[str, Any]:
    for told in (config.quantization, config.quantization_config):
        if isinstance(told, dict):
            return told
    return {}


def _method(told: dict[str, Any]) -> str:
    method = told.get("quant_method") or told.get("mode")
    return method if isinstance(method, str) else ""


def _layers(config: Config) -> int | None:
    """Of a model with other kinds of layers in between, those without keys and values do not count."""
    count = counted(config.num_hidden_layers)
    kinds = config.layer_types
    if count is None or not isinstance(kinds, list) or len(kinds) != count:
        return count
    keeping = [kind for kind in kinds if isinstance(kind, str) and "attention" in kind and "linear" not in kind]
    return len(keeping) or count


def _largest(value: object) -> int | None:
    if isinstance(value, list):
        return max((found for number in value if (found := counted(number))), default=None)
    return counted(value)


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable() else None
