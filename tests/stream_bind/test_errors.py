from __future__ import annotations

import pytest

from stream_bind import errors
from stream_bind.errors import ConfigError, DeviceError, EndOfStream, StreamBindError


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "EndOfStream"])
def test_whatever_a_user_is_shown_is_a_stream_bind_error_with_an_exit_code(name):
    error = getattr(errors, name)("cam: wanted a file, found none; check `path`")
    assert isinstance(error, StreamBindError)
    assert str(error) == "cam: wanted a file, found none; check `path`"
    assert error.exit_code == (2 if name == "ConfigError" else 1)


def test_a_config_error_holds_every_problem():
    assert ConfigError("one").problems == ("one",)
    assert ConfigError("two faults", ("a: wrong", "b: wrong")).problems == ("a: wrong", "b: wrong")


def test_trying_again_may_help_unless_the_device_says_otherwise():
    assert DeviceError("unplugged").permanent is False
    assert DeviceError("no such file", permanent=True).permanent is True


def test_the_end_of_a_recording_is_no_fault():
    assert not issubclass(EndOfStream, StreamBindError)
