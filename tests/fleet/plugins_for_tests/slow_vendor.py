"""A plugin whose vendor fetches one file slowly and keeps the parts: for tests of interrupted downloads."""

import time

from rbee.contract import ModelFile, ModelVariant, ModelVendor, hookimpl

RBEE_CONTRACT = ">=0.3,<0.4"
BLOCKS, BLOCK = 400, b"x" * 1000


class SlowVendor(ModelVendor):
    name = "slowly"

    def supports(self, ref):
        return ref == "slowly:model"

    def resolve(self, ref):
        file = ModelFile(name="model.bin", size_bytes=BLOCKS * len(BLOCK))
        return (ModelVariant(model_id=ref, name=ref, vendor=self.name, format="echo", files=(file,)),)

    def fetch(self, variant, destination, progress, cancel):
        with (destination / "model.bin").open("ab") as file:
            while file.tell() < BLOCKS * len(BLOCK):
                cancel.raise_if_cancelled()
                file.write(BLOCK)
                file.flush()
                progress(file.tell(), BLOCKS * len(BLOCK))
                time.sleep(0.05)


@hookimpl
def rbee_register(register):
    register.model_vendor(SlowVendor)
