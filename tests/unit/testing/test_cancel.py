"""The cancel token for tests."""

import pytest
from rbee.contract.errors import CancelledByCallerError
from rbee.testing.cancel import Cancel


def test_a_token_lets_work_go_on_until_it_is_cancelled_and_never_after():
    token = Cancel()
    token.raise_if_cancelled()
    assert not token.cancelled
    for _ in range(2):
        token.cancel()
        assert token.cancelled
        with pytest.raises(CancelledByCallerError):
            token.raise_if_cancelled()
