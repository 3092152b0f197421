"""Which endpoints may be bound."""

from __future__ import annotations

import pytest

from stream_bind.errors import WireError
from stream_bind.wire.endpoint import bindable, refuse_open_bind


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:5556",
        "tcp://127.8.9.1:*",
        "tcp://localhost:5556",
        "tcp://[::1]:5556",
        "ipc:///tmp/x",
        "inproc://x",
    ],
)
def test_what_stays_on_this_machine_may_be_bound(endpoint):
    refuse_open_bind(endpoint, encrypted=False, insecure=False)


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://*:5556",
        "tcp://0.0.0.0:5556",
        "tcp://[::]:5556",
        "tcp://192.168.1.4:5556",
        "tcp://eth0:5556",
        "tcp://robot.local:5556",
        "tcp://localhost.example.org:5556",
        "tcp://[::ffff:0.0.0.0]:5556",
    ],
)
def test_what_others_can_reach_is_refused_unless_it_is_asked_for(endpoint):
    with pytest.raises(WireError, match=r"publish\.insecure: true"):
        refuse_open_bind(endpoint, encrypted=False, insecure=False)
    refuse_open_bind(endpoint, encrypted=False, insecure=True)
    refuse_open_bind(endpoint, encrypted=True, insecure=False)


@pytest.mark.parametrize(
    "endpoint",
    ["", "5556", "127.0.0.1:5556", "http://127.0.0.1:1", "tcp://", "tcp://127.0.0.1", "tcp://a:b", "tcp://a:70000"],
)
def test_what_is_no_endpoint_is_refused_with_the_setting_to_change(endpoint):
    with pytest.raises(WireError, match=r"publish\.endpoint"):
        bindable(endpoint)


def test_localhost_is_put_into_the_form_libzmq_binds():
    assert bindable("tcp://localhost:5556") == "tcp://127.0.0.1:5556"
