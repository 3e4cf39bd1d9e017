"""Points in time have one spelling."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.errors import FormatError
from signing.format.moment import parse_moment, render_moment

BAD = {
    "empty": "",
    "newline at the end": "2026-11-22T12:00:00Z\n",
    "space": "2026-11-22 12:00:00Z",
    "lower case": "2026-11-22t12:00:00z",
    "no zone": "2026-11-22T12:00:00",
    "offset": "2026-11-22T12:00:00+00:00",
    "fraction": "2026-11-22T12:00:00.5Z",
    "one digit": "2026-11-2T12:00:00Z",
    "five digits": "12026-11-22T12:00:00Z",
    "Arabic digits": "٢٠٢٦-11-22T12:00:00Z",
    "full-width digits": "２026-11-22T12:00:00Z",
    "month 13": "2026-13-01T00:00:00Z",
    "30 February": "2026-02-30T00:00:00Z",
    "hour 24": "2026-11-22T24:00:00Z",
    "leap second": "2016-12-31T23:59:60Z",
    "second 61": "2016-12-31T23:59:61Z",
    "year 0": "0000-01-01T00:00:00Z",
    "week date": "2026-W47-7T12:00:00Z",
    "compact": "20261122T120000Z",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_other_spellings_of_a_moment_are_refused(text):
    with pytest.raises(FormatError) as caught:
        parse_moment(text, where="review.reviewed_at")
    assert caught.value.where == "review.reviewed_at"


@pytest.mark.parametrize("value", [None, 0, 1_700_000_000, True, b"2026-11-22T12:00:00Z", ["2026"]], ids=repr)
def test_what_is_not_text_is_not_a_moment(value):
    with pytest.raises(FormatError):
        parse_moment(value)


@given(st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0)))
@settings(max_examples=150, deadline=None)
def test_a_printed_moment_is_read_back_unchanged(moment):
    assert parse_moment(render_moment(moment)) == moment


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"])
def test_an_accepted_moment_is_printed_as_it_was_read(text):
    assert render_moment(parse_moment(text)) == text


def test_another_zone_is_printed_as_utc_and_fractions_are_cut():
    moment = datetime(2026, 11, 22, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert render_moment(moment) == "2026-11-22T12:00:00Z"
