"""The pytest plugin of rbee, loaded by its entry point in every test run where rbee is installed.

It imports nothing but pytest, so that test runs which do not use the kit pay nothing for it.
"""

from __future__ import annotations

import pytest

# The kit's promises are plain asserts in an installed package: without this they fail without saying why.
pytest.register_assert_rewrite("rbee.testing.conformance")
