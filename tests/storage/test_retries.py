from __future__ import annotations

import io
import ssl

import pytest
from cloud_storage import errors
from cloud_storage.storage import retries
from cloud_storage.storage.answers import InvalidAnswer
from cloud_storage.storage.connection_watch import TooSlow
from cloud_storage.storage.retries import Pace, Retries, RetryPolicy, Verdict
from cloud_storage.system.meter import Meter


class Broken(Exception):
    """What an SDK raises; it carries its own verdict."""

    def __init__(self, judged: Verdict) -> None:
        super().__init__(judged.name)
        self.judged = judged


class Waits(Meter):
    """A meter that waits for no time and notes for how long it should have."""

    def __init__(self):
        super().__init__()
        self.waited = []

    def wait(self, seconds):
        self.check()
        self.waited.append(seconds)


def failing(times, judged, answer="answer"):
    """A request that fails so often; its ``sent`` counts."""
    sent = []

    def request():
        sent.append(1)
        if len(sent) <= times:
            raise Broken(judged)
        return answer

    request.sent = sent
    return request


def run(request, **more):
    return Retries(lambda error: error.judged).run(request, **more)


@pytest.mark.parametrize(
    ("judged", "policy", "attempts"),
    [
        (Verdict.FINAL, retries.REQUEST, 1),
        (Verdict.PASSING, retries.REQUEST, retries.REQUEST.attempts),
        (Verdict.THROTTLED, retries.REQUEST, retries.THROTTLED.attempts),
        (Verdict.FINAL, retries.PART, 1),
        (Verdict.PASSING, retries.PART, retries.PART.attempts),
        (Verdict.THROTTLED, retries.PART, retries.PART.attempts),
    ],
)
def test_a_request_is_sent_as_often_as_its_failure_and_its_policy_say(judged, policy, attempts):
    for times in range(attempts):
        request = failing(times, judged)
        assert run(request, policy=policy, meter=Waits()) == "answer"
        assert len(request.sent) == times + 1
    request = failing(attempts, judged)
    with pytest.raises(Broken):
        run(request, policy=policy, meter=Waits())
    assert len(request.sent) == attempts


POLICIES = {name: each for name, each in vars(retries).items() if isinstance(each, RetryPolicy)}


@pytest.mark.parametrize("name", POLICIES)
def test_pauses_double_differ_and_are_bounded(name):
    policy = POLICIES[name]
    waited = []
    for _ in range(20):
        meter = Waits()
        with pytest.raises(Broken):
            run(failing(99, Verdict.PASSING), policy=policy, meter=meter)
        waited.append(meter.waited)
    longest = [min(policy.pause * 2**number, policy.longest) for number in range(policy.attempts - 1)]
    for pauses in waited:
        assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert sum(longest) < 60, "the user waits for that"
    if longest:
        assert len({pauses[0] for pauses in waited}) > 1


def test_a_part_outlasts_a_network_that_is_away_for_twenty_seconds():
    policy = retries.PART
    longest = [min(policy.pause * 2**number, policy.longest) for number in range(policy.attempts - 1)]
    assert sum(longest) / 2 >= 20, "each pause is at least half of its longest"


def test_a_final_failure_waits_for_nothing():
    meter = Waits()
    with pytest.raises(Broken):
        run(failing(1, Verdict.FINAL), meter=meter)
    assert meter.waited == []


def test_a_body_is_rewound_before_each_further_attempt():
    class Body(io.BytesIO):
        meter = Waits()

    body, sent = Body(b"abc"), []

    def request():
        sent.append(body.read())
        if len(sent) < 3:
            raise Broken(Verdict.PASSING)

    run(request, body=body)
    assert sent == [b"abc"] * 3
    assert len(body.meter.waited) == 2


def test_a_stop_ends_the_waiting():
    meter = Meter()

    def request():
        meter.stop()
        raise Broken(Verdict.PASSING)

    with pytest.raises(errors.TransferCancelled):
        run(request, meter=meter)


def test_a_lost_answer_is_asked_for_after_a_second_attempt_only():
    def own(error):
        return "mine"

    with pytest.raises(Broken):
        run(failing(1, Verdict.FINAL), own=own, meter=Waits())
    kinds = iter((Verdict.PASSING, Verdict.FINAL))

    def request():
        raise Broken(next(kinds))

    assert run(request, own=own, meter=Waits()) == "mine"


# ------------------------------------------------------------ the verdict


@pytest.mark.parametrize(
    ("code", "status", "judged"),
    [
        ("SlowDown", 503, Verdict.THROTTLED),
        ("ServiceUnavailable", 503, Verdict.THROTTLED),
        ("Throttling", 400, Verdict.THROTTLED),
        ("", 429, Verdict.THROTTLED),
        ("InternalError", 500, Verdict.PASSING),
        ("", 502, Verdict.PASSING),
        ("never heard of", 599, Verdict.PASSING),
        ("RequestTimeout", 400, Verdict.PASSING),
        ("BadDigest", 400, Verdict.PASSING),
        ("NotImplemented", 501, Verdict.FINAL),
        ("AccessDenied", 403, Verdict.FINAL),
        ("NoSuchBucket", 404, Verdict.FINAL),
        ("", 302, Verdict.FINAL),
    ],
)
def test_an_answer_is_judged_by_code_and_status(code, status, judged):
    assert retries.verdict(Exception(), code, status) is judged


def test_without_an_answer_the_kind_of_failure_counts():
    certificate = ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    proxy = type("ProxyError", (ConnectionError,), {})()
    assert retries.verdict(ConnectionError(), "", 0) is Verdict.PASSING
    assert retries.verdict(type("ReadTimeoutError", (Exception,), {})(), "", 0) is Verdict.PASSING
    for ours in (InvalidAnswer, TooSlow):
        assert retries.verdict(ours("damaged on its way"), "", 0) is Verdict.PASSING
    for final in (certificate, proxy, ValueError(), errors.Unreachable("of the body")):
        assert retries.verdict(final, "", 0) is Verdict.FINAL


@pytest.mark.parametrize("kind", ["ssl", "urllib3", "requests", "botocore"])
def test_tls_that_breaks_in_an_answer_is_passing_and_a_wrong_certificate_is_final(kind):
    """urllib3's own leaves it as it is while a body is read, the SDKs' comes while a request is sent."""
    import botocore.exceptions
    import requests
    import urllib3.exceptions

    def made(said):
        error = ssl.SSLError(1, said)
        if kind == "botocore":
            return botocore.exceptions.SSLError(endpoint_url="x", error=error)
        kinds = {"urllib3": urllib3.exceptions.SSLError, "requests": requests.exceptions.SSLError}
        return kinds[kind](error) if kind in kinds else error

    broken = made("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed or bad record mac")
    assert retries.verdict(broken, "", 0) is Verdict.PASSING
    unknown = made("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed")
    assert retries.verdict(unknown, "", 0) is Verdict.FINAL


# ------------------------------------------------------------ the pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_nobody_waits_until_a_server_asks_for_fewer_requests():
    pace = Pace(Clock())
    assert [pace.turn() for _ in range(5)] == [0.0] * 5


def test_a_refusal_keeps_requests_apart_and_the_next_one_more_so():
    clock = Clock()
    pace = Pace(clock)
    gaps = []
    for _ in range(9):
        clock.now += 60
        pace.slower()
        first, second, third = (pace.turn() for _ in range(3))
        assert first == 0.0
        assert second == pytest.approx(third - second)
        gaps.append(second)
    assert gaps[0] == pytest.approx(retries.PACE_MIN_SECONDS)
    assert gaps[1] == pytest.approx(2 * gaps[0])
    assert gaps[-1] == pytest.approx(retries.PACE_MAX_SECONDS)


def test_a_burst_of_refusals_counts_once():
    clock = Clock()
    pace = Pace(clock)
    for _ in range(16):
        pace.slower()
    pace.turn()
    assert pace.turn() == pytest.approx(retries.PACE_MIN_SECONDS)


def test_answers_bring_the_speed_back():
    clock = Clock()
    pace = Pace(clock)
    for _ in range(9):
        clock.now += 60
        pace.slower()
    for _ in range(20):
        pace.faster()
    assert [pace.turn() for _ in range(3)] == [0.0] * 3


def test_a_throttled_storage_slows_its_other_requests_down():
    several = Retries(lambda error: error.judged)
    with pytest.raises(Broken):
        several.run(failing(99, Verdict.THROTTLED), meter=Waits())
    meters = [Waits() for _ in range(3)]
    for meter in meters:
        several.run(lambda: None, meter=meter)
    assert any(meter.waited for meter in meters)


def test_each_refusal_is_counted_on_the_meter_of_the_transfer():
    meter = Waits()
    run(failing(3, Verdict.THROTTLED), meter=meter)
    run(failing(3, Verdict.PASSING), meter=meter)
    assert meter.refusals == 3
