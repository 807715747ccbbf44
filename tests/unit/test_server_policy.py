"""When a part is restarted, and when it is given up."""

from __future__ import annotations

import pytest

from server.policy import Crashes, Policy

POLICY = Policy(backoff_s=1, longest_backoff_s=5, well_s=100, crashes=5, crash_window_s=1000)


def test_waits_double_up_to_the_longest_and_then_it_is_given_up() -> None:
    crashes = Crashes(POLICY)
    assert [crashes.add(now, 0) for now in range(5)] == [1, 2, 4, 5, None]


def test_being_well_for_a_while_makes_good_what_was() -> None:
    crashes = Crashes(POLICY)
    for now in range(4):
        crashes.add(now, 99)
    assert crashes.add(200, 100) == 1


def test_crashes_beyond_the_window_do_not_count() -> None:
    crashes = Crashes(POLICY)
    assert [crashes.add(now * 300.0, 50) for now in range(20)] == [1, 2, 4, 5] + [5] * 16


@pytest.mark.parametrize("setting", ["failures", "crashes", "probe_timeout_s", "log_max_mib"])
def test_no_setting_may_be_0(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        Policy(**{setting: 0})  # type: ignore[arg-type]
