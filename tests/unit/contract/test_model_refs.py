"""Names of models."""

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rbee.contract.errors import InvalidRequestError
from rbee.contract.model_refs import ModelRef, looks_like_quantization, parse_ref, quantization_in

SUM = "0123456789abcdef" * 4
COMMIT = "4fd5b5c6a7d8e9f00112233445566778899aabbc"


def hub(repository="org/repo", **fields):
    return ModelRef(kind="hub", repository=repository, **fields)


def word(repository, **fields):
    return ModelRef(kind="name", repository=repository, **fields)


def path(repository, **fields):
    return ModelRef(kind="path", repository=repository, **fields)


FORMS = {
    "org/repo": (hub(), "hf:org/repo"),
    "org/repo:file.gguf": (hub(file="file.gguf"), "hf:org/repo::file.gguf"),
    "org/repo:Q4_K_M": (hub(quantization="Q4_K_M"), "hf:org/repo:Q4_K_M"),
    "hf:org/repo": (hub(scheme="hf"), "hf:org/repo"),
    "hf:org/repo@v1.0": (hub(scheme="hf", revision="v1.0"), "hf:org/repo@v1.0"),
    "hf:org/repo::a/b.gguf": (hub(scheme="hf", file="a/b.gguf"), "hf:org/repo::a/b.gguf"),
    "hf:org/repo@v1.0::b.gguf": (hub(scheme="hf", revision="v1.0", file="b.gguf"), "hf:org/repo@v1.0::b.gguf"),
    "hf:org/repo@refs/pr/3:q8_0": (
        hub(scheme="hf", revision="refs/pr/3", quantization="Q8_0"),
        "hf:org/repo@refs/pr/3:Q8_0",
    ),
    f"org/repo@{COMMIT}": (hub(revision=COMMIT), f"hf:org/repo@{COMMIT}"),
    "HF:Org/Repo:q4_k_m": (hub("Org/Repo", scheme="hf", quantization="Q4_K_M"), "hf:Org/Repo:Q4_K_M"),
    "hf.co/org/repo:Q4_K_M": (hub(host="hf.co", quantization="Q4_K_M"), "hf:org/repo:Q4_K_M"),
    "HF.co/org/repo": (hub(host="hf.co"), "hf:org/repo"),
    "org/repo@q4_k_m": (hub(quantization="Q4_K_M"), "hf:org/repo:Q4_K_M"),
    "org/repo@4.0bpw": (hub(revision="4.0bpw"), "hf:org/repo@4.0bpw"),
    "org/repo:4bit": (hub(quantization="4BIT"), "hf:org/repo:4BIT"),
    "org/repo@Q4_K_M::b.gguf": (hub(revision="Q4_K_M", file="b.gguf"), "hf:org/repo@Q4_K_M::b.gguf"),
    "org/repo::no suffix": (hub(file="no suffix"), "hf:org/repo::no suffix"),
    "org.name/repo-1.5_x": (hub("org.name/repo-1.5_x"), "hf:org.name/repo-1.5_x"),
    "https://hf.co/org/repo": (hub(host="hf.co"), "hf:org/repo"),
    "https://hf.co/org/repo.git": (hub(host="hf.co"), "hf:org/repo"),
    "https://HF.co/org/repo/?x=1": (hub(host="hf.co"), "hf:org/repo"),
    "https://hf.co/org/repo/tree/main": (hub(host="hf.co"), "hf:org/repo"),
    "https://hf.co/org/repo/tree/v1.0": (hub(host="hf.co", revision="v1.0"), "hf:org/repo@v1.0"),
    "https://hf.co/org/repo/tree/refs%2Fpr%2F3": (hub(host="hf.co", revision="refs/pr/3"), "hf:org/repo@refs/pr/3"),
    "https://hf.co/org/repo/tree/refs/pr/3": (hub(host="hf.co", revision="refs/pr/3"), "hf:org/repo@refs/pr/3"),
    "https://hf.co/org/repo/blob/main/a%20b/c.gguf": (
        hub(host="hf.co", file="a b/c.gguf"),
        "hf:org/repo::a b/c.gguf",
    ),
    "https://hf.co/org/repo/resolve/v2/c.gguf?download=true": (
        hub(host="hf.co", revision="v2", file="c.gguf"),
        "hf:org/repo@v2::c.gguf",
    ),
    "hf.co/org/repo/resolve/main/c.gguf": (hub(host="hf.co", file="c.gguf"), "hf:org/repo::c.gguf"),
    "http://127.0.0.1:9000/org/repo": (hub(host="127.0.0.1:9000"), "hf:org/repo"),
    "name": (word("name"), "hf:name"),
    "name@q4_k_m": (word("name", quantization="Q4_K_M"), "hf:name:Q4_K_M"),
    "name:q4_k_m": (word("name", quantization="Q4_K_M"), "hf:name:Q4_K_M"),
    "name@main": (word("name", revision="main"), "hf:name@main"),
    "name3.2:1b": (word("name3.2", tag="1b"), "hf:name3.2:1b"),
    "name:8x7b-instruct": (word("name", tag="8x7b-instruct"), "hf:name:8x7b-instruct"),
    "name:latest": (word("name", tag="latest"), "hf:name:latest"),
    "demo:tiny": (word("tiny", scheme="demo"), "hf:tiny"),
    "demo:rbee-tiny:Q8_0": (word("rbee-tiny", scheme="demo", quantization="Q8_0"), "hf:rbee-tiny:Q8_0"),
    "demo:name3.2:1b": (word("name3.2", scheme="demo", tag="1b"), "hf:name3.2:1b"),
    "name3.2:b.gguf": (word("name3.2", file="b.gguf"), "hf:name3.2::b.gguf"),
    "file:/a/b": (path("/a/b", scheme="file"), "file:/a/b"),
    "file:a": (path("a", scheme="file"), "file:a"),
    "file:///a%20b.gguf": (path("/a b.gguf", scheme="file"), "file:/a b.gguf"),
    "file://localhost/a": (path("/a", scheme="file"), "file:/a"),
    "file:////a": (path("/a", scheme="file"), "file:/a"),
    "/a b/c#d.gguf": (path("/a b/c#d.gguf"), "file:/a b/c#d.gguf"),
    "/a\\b": (path("/a\\b"), "file:/a\\b"),
    "./a:b": (path("./a:b"), "file:./a:b"),
    "../a": (path("../a"), "file:../a"),
    "~/a": (path("~/a"), "file:~/a"),
    "~": (path("~"), "file:~"),
    ".": (path("."), "file:."),
    "..": (path(".."), "file:.."),
    "a.gguf": (path("a.gguf"), "file:a.gguf"),
    "a/b/C.GGUF": (path("a/b/C.GGUF"), "file:a/b/C.GGUF"),
    f"https://host/path/file.gguf#sha256={SUM}": (
        ModelRef(kind="url", scheme="https", host="host", repository="https://host/path/file.gguf", sha256=SUM),
        f"https://host/path/file.gguf#sha256={SUM}",
    ),
    f"HTTP://Host:81/File.gguf#{SUM.upper()}": (
        ModelRef(kind="url", scheme="http", host="host:81", repository="http://host:81/File.gguf", sha256=SUM),
        f"http://host:81/File.gguf#sha256={SUM}",
    ),
    f"https://hf.co/org/repo/resolve/main/a.gguf#sha256={SUM}": (
        ModelRef(
            kind="url",
            scheme="https",
            host="hf.co",
            repository="https://hf.co/org/repo/resolve/main/a.gguf",
            sha256=SUM,
        ),
        f"https://hf.co/org/repo/resolve/main/a.gguf#sha256={SUM}",
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_every_form_has_its_parts_and_its_canonical_name(text):
    ref, canonical = FORMS[text]
    assert parse_ref(text) == ref
    assert ref.canonical("file" if ref.kind == "path" else "hf") == canonical
    assert parse_ref(canonical).canonical("file" if ref.kind == "path" else "hf") == canonical


REFUSED = {
    "org/repo@:Q4": "did you mean 'org/repo:Q4'?",
    "org/repo@": "did you mean 'org/repo'?",
    "org/repo:": "did you mean 'org/repo'?",
    "org/repo::": "did you mean 'org/repo'?",
    "org\\repo": "did you mean 'org/repo'?",
    "org/ repo": "did you mean 'org/repo'?",
    " org/repo": "did you mean 'org/repo'?",
    "org/repo\n": "did you mean 'org/repo'?",
    "'org/repo'": "did you mean 'org/repo'?",
    "my model": "did you mean 'my-model'?",
    "org//repo": "did you mean 'org/repo'?",
    "org/repo/": "did you mean 'org/repo'?",
    "org/../repo": "did you mean 'org/repo'?",
    "hf://org/repo": "did you mean 'hf:org/repo'?",
    "hf:org/": "did you mean 'hf:org'?",
    "a/b/c": "did you mean 'a/b'?",
    "hf:a/b/c/d.gguf": "did you mean 'hf:a/b::c/d.gguf'?",
    "hf:hf.co/org/repo": "did you mean 'hf:org/repo'?",
    "org/repo::a.gguf:Q4_K_M": "names a file and a quantisation, which the file has already; did you mean 'org/repo::a.gguf'?",
    "org/repo:Q4_K_M::a.gguf": "did you mean 'org/repo::a.gguf'?",
    "hf:org/repo:a.gguf:Q4_K_M": "did you mean 'hf:org/repo::a.gguf'?",
    "org/repo:Q4_K_M@v1": "did you mean 'org/repo@v1:Q4_K_M'?",
    "org/repo:v1": "did you mean 'org/repo@v1'?",
    "org/repo:latest": "did you mean 'org/repo'?",
    "org/repo:Q4-K-M": "did you mean 'org/repo:Q4_K_M'?",
    "org/repo:*Q4_K_M*": "did you mean 'org/repo:Q4_K_M'?",
    "org/repo --quant Q4": "did you mean 'org/repo'?",
    "hf:org/repo@v1/a.gguf": "did you mean 'hf:org/repo@v1::a.gguf'?",
    "hf:org:repo": "did you mean 'hf:org/repo'?",
    "org/repo::../a": "does not stay within the repository",
    "org/repo::/a": "did you mean 'org/repo::a'?",
    "org/repo::a//b": "did you mean 'org/repo::a/b'?",
    "a:b:c:d": "has too many colons",
    "C:\\models\\a.gguf": "Windows path, which is not supported; did you mean '/mnt/c/models/a.gguf'?",
    "c:/models/a.gguf": "Windows path, which is not supported; did you mean '/mnt/c/models/a.gguf'?",
    ".\\a.gguf": "did you mean './a.gguf'?",
    "\\\\server\\share": "is a Windows path, which is not supported",
    "Q4_K_M": "is a quantisation without a model; write it as 'org/repo:Q4_K_M'",
    "7b": "is the size of a model without its name; write it as 'name:7b'",
    "a.gguf:Q8_0": "did you mean './a.gguf'?",
    "x" * 97: "has 97 characters for its name; 96 is the most",
    "x" * 5000: "has 5000 characters; 4096 is the most",
    "": "is empty",
    " ": "is empty",
    "-x": "A model is named as 'org/repo'",
    "ünï/x": "for its organisation",
    "a..b": "for its name",
    "org/repo@a..b": "one is a branch, a tag or a commit",
    "org/repo@" + "b" * 201: "has a revision of 201 characters; 200 is the most",
    "org/repo::" + "b" * 1025: "has a file's name of 1025 characters; 1024 is the most",
    "file:": "write it as 'file:/path/file.gguf'",
    "file:///a%00": "is no path",
    "file://other/a": "an address of another machine, 'other'; did you mean 'file:/a'?",
    "https://host.example/a.gguf": "write it as 'https://host.example/a.gguf#sha256=<64 hex digits>'",
    "https://host.example/a/b.gguf": "write it as 'https://host.example/a/b.gguf#sha256=<64 hex digits>'",
    "https://host/a.gguf#sha256=abc": "write it as 'https://host/a.gguf#sha256=<64 hex digits>'",
    f"https://host/a.gguf#sha256={SUM}0": "write it as 'https://host/a.gguf#sha256=<64 hex digits>'",
    f"https://host/a.gguf#sha256={SUM[:-1]}g": "write it as 'https://host/a.gguf#sha256=<64 hex digits>'",
    f"https://host/a.gguf?key=1#sha256={SUM}": f"did you mean 'https://host/a.gguf#sha256={SUM}'?",
    f"https://host/../a.gguf#sha256={SUM}": "leads to no file",
    f"https://host/#sha256={SUM}": "leads to no file",
    f"https://ho st/a.gguf#sha256={SUM}": "has a host 'ho st' that is none",
    f"https://host:65536/a.gguf#sha256={SUM}": "has a host 'host:65536' that is none",
    "https://host": "write it as 'https://host/path/file.gguf#sha256=<64 hex digits>'",
    "https:org/repo": "is no address",
    "https://hf.co/org/repo:Q4_K_M": "did you mean 'hf.co/org/repo:Q4_K_M'?",
    "https://hf.co/org/repo#readme": "did you mean 'https://hf.co/org/repo'?",
    "https://hf.co/org/repo/discussions/1": "did you mean 'hf.co/org/repo'?",
    "hf.co/org/repo/resolve/main/a.gguf?download=true": "did you mean 'hf.co/org/repo/resolve/main/a.gguf'?",
    "https://hf.co/org/repo/tree/main/Q8_0": "is the page of a folder, 'Q8_0'; did you mean 'hf.co/org/repo:Q8_0'?",
    "https://hf.co/org/repo/tree/v1/a/b": "is the page of a folder, 'a/b'; did you mean 'hf.co/org/repo@v1'?",
    "https://hf.co/org/repo/tree/a.gguf": "has a file 'a.gguf' for its revision",
    "https://hf.co/org/repo/tree/Q8_0": "did you mean 'hf.co/org/repo:Q8_0'?",
    "https://hf.co/org/repo/blob/main": "ends before the name of a file",
    "https://hf.co/org/repo/blob/main/a%2F..%2Fb": "does not stay within the repository",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_name_is_refused_with_the_nearest_that_is(text):
    with pytest.raises(InvalidRequestError) as caught:
        parse_ref(text)
    assert REFUSED[text] in caught.value.message
    assert caught.value.param == "model"
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000


def test_a_login_in_an_address_is_not_repeated():
    with pytest.raises(InvalidRequestError) as caught:
        parse_ref(f"https://me:geheim@p@host/a.gguf#sha256={SUM}")
    assert "geheim" not in caught.value.message
    assert "https://***@host" in caught.value.message


@pytest.mark.parametrize(
    ("text", "quantization"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K_M"),
        ("Q4", "Q4"),
        ("Q4_0", "Q4_0"),
        ("Q4_0_4_8", "Q4_0_4_8"),
        ("Q8_0", "Q8_0"),
        ("Q6_K", "Q6_K"),
        ("IQ4_XS", "IQ4_XS"),
        ("IQ2_XXS", "IQ2_XXS"),
        ("iq4_nl", "IQ4_NL"),
        ("IQ4_KSS", "IQ4_KSS"),
        ("Q4_K_R4", "Q4_K_R4"),
        ("TQ1_0", "TQ1_0"),
        ("F16", "F16"),
        ("fp16", "F16"),
        ("bf16", "BF16"),
        ("F32", "F32"),
        ("MXFP4", "MXFP4"),
        ("mxfp4_moe", "MXFP4_MOE"),
        ("NVFP4", "NVFP4"),
        ("FP8", "FP8"),
        ("UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("ud-iq1_s", "UD-IQ1_S"),
        ("4bit", "4BIT"),
        ("8-bit", "8BIT"),
        ("6bit", "6BIT"),
        ("4.0bpw", "4.0BPW"),
        ("3.25bpw", "3.25BPW"),
        ("main", None),
        ("1b", None),
        ("Q", None),
        ("Q4_K_M.gguf", None),
        ("Q4_", None),
        ("QQ4", None),
        ("q4_k_m\n", None),
        ("Q٤_K", None),
        ("", None),
    ],
)
def test_a_quantisation_is_known_in_any_case(text, quantization):
    assert looks_like_quantization(text) == quantization


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("model-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("model-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Q8_0/model-fp16.gguf", "F16"),
        ("model-Q4_K_Mixed.gguf", "Q4_K"),
        ("model-4bit", "4BIT"),
        ("model-4.0bpw", "4.0BPW"),
        ("model.gguf", None),
        ("modelQ4_K_M.gguf", None),
    ],
)
def test_the_quantisation_is_read_out_of_a_files_name(name, quantization):
    assert quantization_in(name) == quantization


def stable(text):
    try:
        ref = parse_ref(text)
    except InvalidRequestError:
        return
    scheme = "file" if ref.kind == "path" else "hf"
    canonical = ref.canonical(scheme)
    again = parse_ref(canonical)
    assert again.canonical(scheme) == canonical
    assert again.kind == ref.kind


PIECES = [
    "org",
    "re.po",
    "/",
    ":",
    "::",
    "@",
    "#",
    "\\",
    " ",
    "..",
    ".",
    "~",
    "Q4_K_M",
    "7b",
    "latest",
    "main",
    "refs/pr/3",
]
PIECES += [
    ".gguf",
    "a.gguf",
    "hf",
    "hf:",
    "file:",
    "https://",
    "hf.co",
    "tree",
    "blob",
    "/resolve/",
    "sha256=",
    SUM,
    "%2F",
]
PIECES += [
    "%00",
    "%",
    "4.0bpw",
    "4bit",
    "C:",
    "?",
    "é",
    "\n",
    "\x00",
    "\ud800",
    "-",
    "_",
    "'",
    "localhost",
    ":80",
    "[::1]",
]


@given(st.text(max_size=60))
@example("https://[")
def test_no_text_raises_anything_else(text):
    stable(text)


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_no_sequence_of_known_pieces_raises_anything_else_and_names_are_stable(text):
    stable(text)


def test_a_canonical_name_is_its_own():
    for pieces in itertools.product(PIECES, repeat=2):
        stable("".join(pieces))
        stable("hf:a/b" + "".join(pieces))


@pytest.mark.parametrize(
    "piece", [*PIECES, "a", "1", ".1", "Q4_", "_K", "a/", "a.", "//", "://", "@a", ":a", "a b", "4.", "-4"]
)
def test_hostile_texts_take_no_time(piece):
    text = (piece * 4096)[:4096]
    begun = time.process_time()
    for hostile in (text, f"a/b:{text}"[:4096], f"https://h.e/{text}"[:4096], f"a/b@{text}!"[-4096:], text * 50):
        stable(hostile)
        looks_like_quantization(hostile)
        quantization_in(hostile)
    assert time.process_time() - begun < 1.0
