import os
import signal
import time

import pytest

from dacl_cli import stopping
from dacl_cli.stopping import stop_on_signal


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_for_a_stop(number, capsys):
    with stop_on_signal("stopping") as asked:
        assert not asked()
        send(number)
        assert asked()
    assert capsys.readouterr().err == "stopping\n"


def test_a_signal_sent_twice_at_once_is_one(capsys):
    """As `timeout -s INT` does; a loop that runs Python between them sees both."""
    with stop_on_signal("stopping") as asked:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert asked()
    assert capsys.readouterr().err == "stopping\n"


def test_a_second_ctrl_c_interrupts(monkeypatch):
    monkeypatch.setattr(stopping, "AT_ONCE_S", 0.01)
    with stop_on_signal("stopping"):
        send(signal.SIGINT)
        time.sleep(0.05)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_a_second_sigterm_does_not(monkeypatch):
    monkeypatch.setattr(stopping, "AT_ONCE_S", 0.01)
    with stop_on_signal("stopping") as asked:
        for _ in range(2):
            send(signal.SIGTERM)
            time.sleep(0.05)
        assert asked()


def test_the_handlers_before_come_back():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal(""):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
