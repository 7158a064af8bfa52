"""The dashboard's own server says what keeps it from listening."""

from __future__ import annotations

import pytest

from headway import errors

server = pytest.importorskip("headway.dashboard.server")


def test_an_address_of_another_machine_is_named_as_the_fault() -> None:
    with pytest.raises(errors.HeadwayError, match=r"^192\.0\.2\.1 is no address of this machine") as refused:
        server.listen("192.0.2.1", 0)
    assert "--port" not in str(refused.value)
