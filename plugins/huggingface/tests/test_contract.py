"""The vendor keeps the promises of the conformance kit, for every form that its models come in."""

import pytest
from rbee.testing.conformance import ModelVendorContract
from rbee.testing.hub import samples
from rbee_huggingface import HuggingFaceVendor


class TestOneFile(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return HuggingFaceVendor()

    @pytest.fixture
    def good_ref(self, hub):
        hub.add("org/tiny-GGUF", samples.gguf_files(), tags=["gguf"])
        return "org/tiny-GGUF"

    @pytest.fixture
    def bad_ref(self, hub):
        return "hf:org/nothing-GGUF"


class TestParts(TestOneFile):
    @pytest.fixture
    def good_ref(self, hub):
        hub.add("org/split-GGUF", samples.split_gguf_files(folder="Q4_K_M"))
        return "org/split-GGUF:Q4_K_M"

    @pytest.fixture
    def bad_ref(self, hub, good_ref):
        return "org/split-GGUF::nothing.gguf"


class TestAFileByItsName(TestOneFile):
    @pytest.fixture
    def good_ref(self, hub):
        hub.add("org/odd", {"model.gguf": samples.gguf_files()["tiny-Q8_0.gguf"]})
        return "hf:org/odd::model.gguf"


class TestSafetensors(TestOneFile):
    @pytest.fixture
    def good_ref(self, hub):
        hub.add("org/tiny", samples.safetensors_files(3), tags=["safetensors"])
        return "hf.co/org/tiny"


class TestMlx(TestOneFile):
    @pytest.fixture
    def good_ref(self, hub):
        hub.add("mlx-community/tiny-4bit", samples.mlx_files(), tags=["mlx"], library_name="mlx")
        return "https://huggingface.co/mlx-community/tiny-4bit"


class TestABranch(TestOneFile):
    @pytest.fixture
    def good_ref(self, hub):
        hub.add("org/tiny-exl2", {"README.md": "# exl2"}, tags=["exl2"])
        for bits in (3.0, 4.0, 6.5):
            hub.add("org/tiny-exl2", samples.exl_files(bits), revision=f"{bits}bpw")
        return "org/tiny-exl2"


class TestAWord(TestOneFile):
    @pytest.fixture
    def good_ref(self, hub):
        hub.add("org/Tiny-3-8B-GGUF", samples.gguf_files(), tags=["gguf"])
        return "tiny3-8b"

    @pytest.fixture
    def bad_ref(self, hub, good_ref):
        return "nothing9-8b"
