from __future__ import annotations

import asyncssh
from rbee.remote.failing import HostKeyChangedError, HostKeyUnknownError
from rbee.remote.host_keys import KeyJudge, no_known_hosts

KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
OTHER = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
PLACE = ("192.0.2.7", "192.0.2.7", 22)


def _judge() -> KeyJudge:
    judge = KeyJudge("there", "me@192.0.2.7:22", None, lambda *_: True)
    judge.connection_made(object())  # type: ignore[arg-type]  # nothing of it is looked at
    return judge


def test_a_key_is_not_agreed_on_while_nobody_has_said_what_the_known_hosts_know() -> None:
    judge = _judge()

    assert not judge.validate_host_public_key(*PLACE, KEY)
    assert isinstance(judge.refusal, HostKeyChangedError)


def test_a_new_key_is_agreed_on_and_another_one_of_a_known_machine_is_not() -> None:
    new, changed = _judge(), _judge()
    known = asyncssh.import_known_hosts(f"192.0.2.7 {OTHER.export_public_key().decode()}")

    assert [bool(keys) for keys in new.looking_up(no_known_hosts())(*PLACE)] == [False, False, False]
    assert [bool(keys) for keys in changed.looking_up(known)(*PLACE)] == [True, False, False]

    assert new.validate_host_public_key(*PLACE, KEY)
    assert not changed.validate_host_public_key(*PLACE, KEY)
    assert isinstance(changed.refusal, HostKeyChangedError)


def test_who_is_not_there_to_agree_is_told_of_a_new_key() -> None:
    judge = KeyJudge("there", "me@192.0.2.7:22", None, None)
    judge.looking_up(no_known_hosts())(*PLACE)

    assert not judge.validate_host_public_key(*PLACE, KEY)
    assert isinstance(judge.refusal, HostKeyUnknownError)
