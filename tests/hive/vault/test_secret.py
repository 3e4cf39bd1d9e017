"""Secret: what holds a value shows it to nobody."""

import copy
import logging
import pickle  # noqa: TID251 - to show that it does not work
import traceback

import pytest

from hive.vault.secret import Secret

VALUE = b"sk-or-v1-planted"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "%s".__mod__, lambda secret: f"{secret!r}"])
def test_no_way_of_printing_shows_it(show):
    assert show(Secret(VALUE)) == "Secret(…)"
    assert "planted" not in str([Secret(VALUE), {"k": Secret(VALUE)}])


def test_a_log_and_a_traceback_do_not_show_it(caplog):
    def fail(secret):
        raise ValueError(secret)

    secret = Secret(bytes(reversed(VALUE)))
    logging.getLogger("hive").warning("secret %s", secret)
    with pytest.raises(ValueError, match="Secret") as caught:
        fail(secret)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "secret = Secret(…)" in shown
    assert bytes(reversed(VALUE)).decode() not in caplog.text + shown


@pytest.mark.parametrize(
    "travel", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"]
)
def test_it_does_not_travel(travel):
    with pytest.raises(TypeError, match="travel"):
        travel(Secret(VALUE))


def test_it_equals_its_twin_and_cannot_be_hashed():
    assert Secret(VALUE) == Secret(VALUE) != Secret(VALUE + b"x")
    assert Secret(VALUE) != VALUE
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(VALUE))


def test_what_was_forgotten_is_not_given_out_as_zeros():
    secret = Secret(VALUE)
    held = secret._value
    secret.forget()
    secret.forget()
    assert held == bytes(len(VALUE))
    with pytest.raises(ValueError, match="forgotten"):
        secret.reveal()
