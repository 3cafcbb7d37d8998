"""A process that is killed while it fetches loses next to nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from rbee.contract import ModelFile
from unit.contract.transfer.stand_in import Reply, StandIn, file_of

CHILD = """
import sys
from pathlib import Path
from rbee.contract import FileSource, HttpModelVendor, ModelFile, ModelVariant
from rbee.contract.transfer import fetch_files
from rbee.testing.cancel import Cancel

url, folder, size, sha256 = sys.argv[1:]

class Vendor(HttpModelVendor):
    name = "stand-in"
    def supports(self, ref): return True
    def resolve(self, ref): return ()
    def source(self, variant, file): return FileSource(url=f"{url}/{file.name}")

file = ModelFile(name="model.gguf", size_bytes=int(size), sha256=sha256)
variant = ModelVariant(model_id="m", name="m", vendor="stand-in", format="gguf", files=(file,))
print(*fetch_files(Vendor(), variant, Path(folder), lambda *_: None, Cancel(), spare_bytes=0).verified)
"""


def start(server: StandIn, folder: Path, file: ModelFile) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(CHILD),
        server.url,
        str(folder),
        str(file.size_bytes),
        str(file.sha256),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_fetch_that_is_killed_again_and_again_ends_right_and_hardly_fetches_twice(tmp_path: Path) -> None:
    chance = random.Random()
    content = chance.randbytes(6_000_000)
    file = file_of("model.gguf", content)
    part = tmp_path / "model.gguf.part"
    with StandIn() as server:
        server.files["/model.gguf"] = content
        server.always = Reply(bytes_per_s=4_000_000)
        for point in sorted(chance.sample(range(100_000, 5_500_000), 4)):
            with start(server, tmp_path, file) as child:
                # This one has asked, too: where two points are close, what was sent before is beyond both.
                server.wait_until_sent(max(point, server.sent + 50_000))
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
            assert part.stat().st_size < len(content)
        with start(server, tmp_path, file) as child:
            told, _ = child.communicate(timeout=20)
        assert child.returncode == 0
        assert told.strip() == "model.gguf"
        assert (tmp_path / "model.gguf").read_bytes() == content
        assert len(server.questions) == 5
        assert server.sent <= 1.05 * len(content)
