"""The conformance kit passes what keeps the contract and catches what breaks it."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

VENDOR = """
import itertools, msgspec, pytest
from rbee.contract import ModelFile, ModelVariant, ModelVendor
from rbee.contract.errors import ModelNotFoundError
from rbee.testing.conformance import ModelVendorContract

class ShelfVendor(ModelVendor):
    name = "shelf"
    data = b"model" * 10

    def supports(self, ref):
        return ref.startswith("shelf:")

    def resolve(self, ref):
        if ref != "shelf:a":
            raise ModelNotFoundError(f"no model '{ref}' on the shelf")
        return (self.variant(),)

    def variant(self):
        return ModelVariant(model_id="shelf:a", name="shelf:a", vendor="shelf", format="gguf",
                            files=(ModelFile(name="a.gguf", size_bytes=50),))

    def fetch(self, variant, destination, progress, cancel):
        cancel.raise_if_cancelled()
        (destination / "a.gguf").write_bytes(self.data)
        progress(len(self.data), 50)
        cancel.raise_if_cancelled()

TURN = itertools.count(1)

class Vendor(ShelfVendor):
BODY

class TestShelf(ModelVendorContract):
    @pytest.fixture
    def vendor(self): return Vendor()
    @pytest.fixture
    def good_ref(self): return "shelf:a"
    @pytest.fixture
    def bad_ref(self): return "shelf:none"
"""

ENGINE = """
import pytest
from rbee.contract import Availability, Backend, Capability, EngineStatus, LoadSpec, ModelVariant
from rbee.contract import LoadedModel, TokenEngine, TokenEvent
from rbee.testing.conformance import TokenEngineContract
from rbee.testing.tables import TableTokenizer

class CountingEngine(TokenEngine):
    name = "counting"
    formats = frozenset()
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS, Capability.CONTINUATION,
                              Capability.LOGPROBS, Capability.GRAMMAR})

    def __init__(self): self.unload()

    @classmethod
    def availability(cls): return Availability(available=True, version="1")

    def load(self, spec, report):
        report("counting")
        return LoadedModel(tokenizer=TableTokenizer(), context_length=64)

    def add(self, request): self.left[request.request_id] = (request, [])

    def step(self): return [self.told(*one) for one in self.left.values()]

    def told(self, request, said):
        token = 48 + len(said) % 10
        if request.constraint is not None:
            mask = request.constraint.mask(list(said))
            token = next(n for n in range(258) if mask[n // 8] >> n % 8 & 1)
        first = len(request.prompt) if not said else None
        said.append(token)
        top = tuple((token + n, -1.0 - n) for n in range(request.top_logprobs or 0))
        return TokenEvent(request_id=request.request_id, token=token, prompt_done=first,
                          logprob=None if request.top_logprobs is None else -1.0, top=top)

    def remove(self, request_id): self.left.pop(request_id, None)

    def unload(self): self.left = {}

    def status(self): return EngineStatus(slots_total=2, slots_busy=len(self.left))

class Engine(CountingEngine):
BODY

class TestCounting(TokenEngineContract):
    @pytest.fixture
    def engine_class(self): return Engine
    @pytest.fixture
    def load_spec(self):
        variant = ModelVariant(model_id="m", name="m", vendor="v", format="none", in_place="/")
        return LoadSpec(model_id="m", model_path=None, variant=variant, slots=2)
"""

PROBE = """
import pytest
from rbee.contract import NodeSample, Probe, ProcessSample
from rbee.testing.conformance import ProbeContract

class LampProbe(Probe):
    name = "lamp"
    def devices(self): return ()
    def sample_node(self): return NodeSample(cpu_pct=12.0)
    def sample_processes(self, roots): return {}

class Lamp(LampProbe):
BODY

class TestLamp(ProbeContract):
    @pytest.fixture
    def probe(self): return Lamp()
"""

STORE = """
import pytest
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.testing.conformance import PresenceStoreContract

class Store(MemoryPresenceStore):
BODY

class TestStore(PresenceStoreContract):
    @pytest.fixture
    def store(self): return Store()
"""

WORKERS = """
import itertools, pytest, time
from rbee.contract import WorkerOffer, WorkerVendor
from rbee.contract.errors import NotFoundError
from rbee.testing.conformance import WorkerVendorContract

TURN = itertools.count(1)

class ShedVendor(WorkerVendor):
    name = "shed"
    mill = None

    def catalog(self):
        return (WorkerOffer(worker="mill", vendor=self.name, installed=self.mill.is_dir()),)

    def install(self, offer, say, progress, cancel):
        cancel.raise_if_cancelled()
        say("Building mill")
        for part in range(20):
            time.sleep(0.005)
            cancel.raise_if_cancelled()
            progress(part + 1, 20)
        self.mill.mkdir(exist_ok=True)

    def remove(self, offer, say, cancel):
        if not self.mill.is_dir():
            raise NotFoundError(f"The worker {offer.worker!r} is not installed.")
        self.mill.rmdir()

class Vendor(ShedVendor):
BODY

class TestShed(WorkerVendorContract):
    @pytest.fixture
    def vendor(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ShedVendor, "mill", tmp_path / "mill")
        return Vendor()
    @pytest.fixture
    def worker(self): return "mill"
"""
HALF = """def install(self, offer, say, progress, cancel):
        cancel.raise_if_cancelled()
        self.mill.mkdir(exist_ok=True)
        say("Building mill")
        for _ in range(100):
            time.sleep(0.01)
            cancel.raise_if_cancelled()"""


POLICY = """
import pytest
from rbee.contract import Policy
from rbee.testing.conformance import PolicyContract

class Tidy(Policy):
    name = "tidy"
    calls = 0
    def rank(self, workers, request): return sorted(workers, key=lambda one: one.worker_id)

class Own(Tidy):
BODY

class TestTidy(PolicyContract):
    @pytest.fixture
    def policy(self): return Own()
"""


def failures(pytester, source, body):
    """Names of the kit's tests that fail for the class with `body`, in a pytest run of its own kind."""
    pytester.makepyfile(source.replace("BODY", f"    {body}"))
    result = pytester.inline_run("-q", "-p", "no:cacheprovider", "-p", "no:asyncio")
    return {report.nodeid.rpartition("::")[2] for report in result.getfailures()}


@pytest.mark.parametrize("source", [VENDOR, ENGINE, PROBE, STORE, WORKERS, POLICY])
def test_what_keeps_the_contract_passes(pytester, source):
    assert failures(pytester, source, "pass") == set()


@pytest.mark.parametrize(
    ("source", "body", "caught"),
    [
        (VENDOR, 'name = "Shelf: A"', "test_the_vendor_has_a_name_of_its_own"),
        (
            VENDOR,
            'def supports(self, ref): return ref[0] == "s"',
            "test_supports_takes_odd_strings_without_raising",
        ),
        (VENDOR, "data = b'short'", "test_fetch_brings_every_file_whole"),
        (VENDOR, "def resolve(self, ref): return (self.variant(),)", "test_an_unknown_model_is_not_found"),
        (
            VENDOR,
            "def fetch(self, v, d, progress, cancel): (d / 'a.gguf').write_bytes(self.data)",
            "test_a_cancelled_fetch_raises_and_the_next_one_succeeds",
        ),
        (
            VENDOR,
            "def resolve(self, ref): return [msgspec.structs.replace(self.variant(), name=str(next(TURN)))]",
            "test_a_canonical_name_resolves_to_the_same_variant",
        ),
        (ENGINE, "formats = ['gguf']", "test_the_class_attributes_are_well_typed"),
        (
            ENGINE,
            "availability = classmethod(lambda cls: Availability(available=False))",
            "test_availability_is_quick_and_explains_an_absence",
        ),
        (
            ENGINE,
            "def remove(self, request_id): del self.left[request_id]",
            "test_removed_requests_say_nothing_more",
        ),
        (ENGINE, "def remove(self, request_id): pass", "test_removed_requests_say_nothing_more"),
        (
            ENGINE,
            "def unload(self): self.left = {} if not hasattr(self, 'left') else 1 / 0",
            "test_unload_is_harmless_before_load_and_when_repeated",
        ),
        (
            ENGINE,
            "def told(self, request, said): return TokenEvent(request_id=request.request_id, token=999)",
            "test_a_request_ends_within_its_limit",
        ),
        (
            ENGINE,
            (
                "turn = [0]\n    def add(self, request): super().add(request); self.turn[0] += 1; self.said(request)\n    "
                "def said(self, request): self.left[request.request_id][1].extend([1] * (self.turn[0] % 3))"
            ),
            "test_greedy_answers_are_the_same_each_time",
        ),
        (
            ENGINE,
            "def add(self, request): super().add(msgspec.structs.replace(request, constraint=None))\nimport msgspec",
            "test_constraints_are_kept",
        ),
        (
            ENGINE,
            (
                "def told(self, request, said):\n        event = super().told(request, said)\n"
                "        return msgspec.structs.replace(event, finish='stop' if event.token == 257 else None)\n"
                "import msgspec"
            ),
            "test_an_ignored_end_does_not_end_an_answer",
        ),
        (
            ENGINE,
            (
                "def told(self, request, said): return msgspec.structs.replace(super().told(request, said), logprob=0.5)\n"
                "import msgspec"
            ),
            "test_log_probabilities_are_logarithms_of_probabilities",
        ),
        (
            ENGINE,
            "capabilities = frozenset({Capability.CHAT})",
            "test_the_host_s_capabilities_are_declared",
        ),
        (ENGINE, "sampling = frozenset({'wit'})", "test_sampling_names_fields_that_there_are"),
        (
            ENGINE,
            "def step(self): return [TokenEvent(request_id='x')]",
            "test_a_step_without_work_returns_nothing",
        ),
        (POLICY, "def rank(self, workers, request): return workers", "test_equals_are_told_apart_by_name"),
        (
            POLICY,
            "def rank(self, workers, request): return super().rank(workers, request)[1:]",
            "test_nobody_is_lost_or_invented[0]",
        ),
        (
            POLICY,
            "def rank(self, workers, request): Own.calls += 1; return super().rank(workers, request)[:: (-1) ** Own.calls]",
            "test_it_keeps_no_state_and_changes_nothing",
        ),
        (
            POLICY,
            "def rank(self, workers, request): return sorted(workers, key=lambda one: one.gpu_pct + 0.0)",
            "test_one_worker_of_which_nothing_is_known_is_ranked",
        ),
        (
            PROBE,
            "def sample_node(self): return NodeSample(cpu_pct=200.0)",
            "test_node_samples_are_quick_and_in_range",
        ),
        (
            PROBE,
            "def sample_processes(self, roots): return {pid: ProcessSample() for pid in roots}",
            "test_a_process_that_is_gone_is_no_error",
        ),
        (
            STORE,
            "async def renew(self, key, ttl_s): return True",
            "test_an_empty_store_has_nothing",
        ),
        (
            STORE,
            "async def drop(self, key): return bool(self._entries.pop(key, None))",
            "test_dropping_is_told_once_with_the_last_value",
        ),
        (
            STORE,
            "async def get(self, key): return next((e for e in (await self.list(key))[0]), None)",
            "test_keys_are_taken_as_they_are",
        ),
        (WORKERS, 'name = "the shed:"', "test_the_vendor_has_a_name_of_its_own"),
        (
            WORKERS,
            "def catalog(self): return (*super().catalog(), *super().catalog())",
            "test_the_catalog_is_well_formed",
        ),
        (
            WORKERS,
            "def catalog(self): return [WorkerOffer(worker='m', vendor='shed', installed=False, version=str(next(TURN)))]",
            "test_the_catalog_is_quick_and_stays_the_same",
        ),
        (
            WORKERS,
            "def remove(self, offer, say, cancel): pass",
            "test_what_is_installed_is_listed_so_until_it_is_removed",
        ),
        (
            WORKERS,
            "def install(self, offer, say, progress, cancel): self.mill.mkdir()",
            "test_installing_what_is_installed_is_harmless",
        ),
        (
            WORKERS,
            "def install(self, offer, say, progress, cancel): self.mill.mkdir(exist_ok=True)",
            "test_an_install_that_was_cancelled_before_leaves_nothing",
        ),
        (WORKERS, HALF, "test_an_install_that_is_cancelled_ends_soon_and_leaves_it_whole_or_absent"),
        (
            WORKERS,
            "def remove(self, offer, say, cancel): self.mill.is_dir() and self.mill.rmdir()",
            "test_removing_what_is_absent_says_so",
        ),
    ],
)
def test_what_breaks_the_contract_is_caught(pytester, source, body, caught):
    assert caught in failures(pytester, source, body)


def test_a_silent_override_stops_the_run(pytester):
    pytester.makepyfile(
        PROBE.replace("BODY", "    pass") + "\n    def test_the_probe_has_a_name_of_its_own(self): pass\n"
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TypeError: TestLamp.test_the_probe_has_a_name_of_its_own replaces a promise*"])


def test_the_pytest_plugin_imports_no_more_than_it_needs():
    code = "import sys, rbee.testing.plugin;assert not [n for n in sys.modules if n.startswith('rbee.testing.conf')]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={"PYTHONPATH": ":".join(sys.path)})
