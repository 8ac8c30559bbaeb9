"""The protocol of one leg against an exchange that does its worst, in plain Python.

One history is one order row, the workers and sweepers that act on it, and the exchange, in virtual time. Whoever acts
works from a copy of the row that may be minutes old, may freeze for up to five minutes or die between any two steps,
and has a clock that is off by as much as is assumed. Requests are lost, arrive just before the exchange would refuse
them, answers are lost, queries fail, and an accepted order stays invisible for as long as is assumed. The position is
of no help: the account always looks unchanged, so that the fence alone has to stop a second order.

What the engine decides by is repeated here as tables; tests/torture/test_protocol.py compares each with the engine.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from heapq import heappop, heappush
from random import Random

from tests.torture.tally import Tally

POLICIES = ("forever", "until closed", "never")  # for how long the exchange refuses a second order of the same id
CHUNK = 20_000

STATES = (
    *("planned", "submitting", "unknown", "accepted", "partial", "cancelling"),
    *("not_placed", "filled", "canceled", "rejected", "denied", "expired"),
)
PLANNED, SUBMITTING, UNKNOWN, ACCEPTED, PARTIAL, CANCELLING, NOT_PLACED, FILLED, CANCELED, REJECTED, DENIED, EXPIRED = (
    range(len(STATES))
)
FINAL = frozenset({"filled", "canceled", "rejected", "denied", "expired", "not_placed"})
MOVES: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"submitting", "denied", "expired"}),
    "submitting": frozenset({"planned", "accepted", "partial", "filled", "canceled", "rejected", "unknown"}),
    "unknown": frozenset({"accepted", "partial", "filled", "canceled", "rejected", "not_placed"}),
    "accepted": frozenset({"partial", "filled", "canceled", "rejected", "cancelling"}),
    "partial": frozenset({"partial", "filled", "canceled", "cancelling"}),
    "cancelling": frozenset({"accepted", "partial", "filled", "canceled"}),
    "not_placed": frozenset({"planned", "accepted", "partial", "filled"}),
    "canceled": frozenset({"filled"}),
    "rejected": frozenset({"accepted", "partial", "filled"}),
    "filled": frozenset(),
    "denied": frozenset(),
    "expired": frozenset(),
}

# What a sender hears, and the state that follows from it.
ANSWERS = ("accepted", "rejected", "not sent", "busy", "clock refused", "id known", "no answer")
OK, REFUSED, NOT_SENT, BUSY, CLOCK, KNOWN, SILENCE = range(len(ANSWERS))
VERDICTS: Mapping[str, str] = {
    "accepted": "accepted",
    "rejected": "rejected",
    "not sent": "planned",
    "busy": "planned",
    "clock refused": "planned",
    "id known": "unknown",
    "no answer": "unknown",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Every figure in seconds. `window`, `skew` and `visibility` are what is assumed of the exchange and the clocks."""

    window: float = 60
    skew: float = 3
    visibility: float = 30
    look_pauses: tuple[float, ...] = (1, 2, 4, 8, 15)
    not_found_apart: float = 5
    send_limit: float = 20
    lease: float = 60
    claim: float = 15
    entry_max_age: float = 120

    @property
    def fence(self) -> float:
        return self.window + 2 * self.skew + self.visibility


def after_absence(state: str, *, past_fence: bool, seen_before: int) -> str:
    """What "not found" leads to: `wait`, look `again` soon with one absence noted, or `absent`: it is proved."""
    if state != "unknown" or not past_fence:
        return "wait"
    return "again" if seen_before < 1 else "absent"


def late_word(state: str, to: str, *, same_attempt: bool) -> bool:
    """Whether a word still counts that comes when the row has moved on, to `state`, since its bearer read it."""
    if to == "planned" or (not same_attempt and to != "accepted"):
        return False
    return to in MOVES[state]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Ours with every field as it is; each field is one way in which it could be wrong."""

    takeover_resends: bool = False
    resends_after_looks: int = 0  # so many "not found" are taken for proof, whatever the time
    look_every: float = 0
    signs_when_it_sends: bool = False
    sends_before_commit: bool = False
    swaps: bool = True  # compare-and-swap on the claim
    late_word_plans: bool = False  # a sender that was taken for dead may still put the row back
    judges_old_attempts: bool = False
    timeout_is_rejection: bool = False
    known_id_is_rejection: bool = False
    failed_look_is_absence: bool = False
    fence_without: str = ""  # `window` or `visibility`
    real_skew: float = 0  # 0 = as assumed
    real_visibility: float = 0


OURS = Protocol()
# Section 4 of the specification names the first six; each must place two orders, or lose one, in the model.
KNOWN_BAD: Mapping[str, Protocol] = {
    "a take-over sends again": Protocol(takeover_resends=True),
    "query once, then send again": Protocol(resends_after_looks=1),
    "query 5 times over 25 s, then send again": Protocol(resends_after_looks=5, look_every=5),
    "signs again after a pause": Protocol(signs_when_it_sends=True),
    "no fence": Protocol(fence_without="everything"),
    "clocks off by 60 s, 3 s assumed": Protocol(real_skew=60),
    "orders hidden for 90 s, 30 s assumed": Protocol(real_visibility=90),
    "fence without the window": Protocol(fence_without="window"),
    "fence without the visibility": Protocol(fence_without="visibility"),
    "sends before it commits": Protocol(sends_before_commit=True),
    "claims without compare-and-swap": Protocol(swaps=False),
    "a late word puts the row back": Protocol(late_word_plans=True),
    "an old attempt's word is believed": Protocol(judges_old_attempts=True),
    "a timeout is read as rejected": Protocol(timeout_is_rejection=True),
    "a known id is read as rejected": Protocol(known_id_is_rejection=True),
    "a failed query is read as absent": Protocol(failed_look_is_absence=True, fence_without="everything"),
}


@dataclass(slots=True)
class Counts:
    """`duplicates`: two orders of one leg. `lost`: the row's end is not what the exchange has. `stuck`: no end."""

    histories: int = 0
    faults: int = 0
    duplicates: int = 0
    lost: int = 0
    stuck: int = 0
    unknown: int = 0  # histories that were in doubt at some time
    absent: int = 0  # proved absent at least once
    resent: int = 0  # orders placed by a second attempt or a later one
    refused: int = 0  # second orders that the exchange refused by id
    first_bad: int = -1  # seed of the chunk of the first bad history

    def add(self, other: "Counts") -> None:
        for each in fields(self):
            if each.name != "first_bad":
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        if self.first_bad < 0:
            self.first_bad = other.first_bad

    @property
    def bad(self) -> int:
        return self.duplicates + self.lost + self.stuck


_STEP, _ACT, _CLAIM, _COMMIT, _BYTES, _ARRIVE, _HEARD, _QUERY, _RESULT = range(9)
_NEVER = 1e12
_QUIET_AFTER = 900.0  # from then on nothing fails any more: everything has to come to an end
_STUCK_AFTER = 4000.0
_ANSWER_WITHIN = 8.0


def play(  # one function and flat locals, for it runs millions of times
    count: int, *, policy: str, seed: int, protocol: Protocol = OURS, rules: Rules = Rules()
) -> Counts:
    """Run `count` histories; the same again for the same arguments."""
    r = Random(seed).random
    allowed = [sum(1 << STATES.index(to) for to in MOVES[name]) for name in STATES]
    late = [
        [sum(1 << STATES.index(to) for to in STATES if late_word(name, to, same_attempt=same)) for name in STATES]
        for same in (False, True)
    ]
    if protocol.judges_old_attempts:
        late[False] = late[True]
    if protocol.late_word_plans:
        late[False][UNKNOWN] |= 1 << PLANNED
        late[True][UNKNOWN] |= 1 << PLANNED
    final = [name in FINAL for name in STATES]
    verdict = [STATES.index(VERDICTS[name]) for name in ANSWERS]
    if protocol.timeout_is_rejection:
        verdict[SILENCE] = REJECTED
    if protocol.known_id_is_rejection:
        verdict[KNOWN] = REJECTED
    next_look = {
        (state, past, seen): after_absence(STATES[state], past_fence=past, seen_before=seen)
        for state in range(len(STATES))
        for past in (False, True)
        for seen in (0, 1)
    }
    W, V = rules.window, protocol.real_visibility or rules.visibility
    skew = protocol.real_skew or rules.skew
    fence = rules.fence
    if protocol.fence_without:
        fence = {"window": fence - W, "visibility": fence - rules.visibility, "everything": 0.0}[protocol.fence_without]
    pauses, last_pause = rules.look_pauses, len(rules.look_pauses) - 1
    if protocol.look_every:
        pauses = (protocol.look_every,) * len(pauses)
    apart, send_limit, lease_length, claim_length = (
        *(rules.not_found_apart, rules.send_limit, rules.lease, rules.claim),
    )
    max_age = rules.entry_max_age
    takeover_resends, resends_after = protocol.takeover_resends, protocol.resends_after_looks
    resigns, early, swaps = protocol.signs_when_it_sends, protocol.sends_before_commit, protocol.swaps
    failed_is_absent = protocol.failed_look_is_absence
    remembers_for_ever, remembers_open = policy == "forever", policy == "until closed"
    if policy not in POLICIES:
        raise ValueError(policy)

    tally = Counts(histories=count)
    faults = duplicates = lost = stuck = doubtful = absent = resent = refused = 0
    bits = (1 << ACCEPTED) | (1 << PARTIAL) | (1 << FILLED)

    for _ in range(count):
        is_exit = r() < 0.7
        # How much of each goes wrong in this history; some are calm, so that pairs of rare faults stand alone.
        dread = 0.3 + 1.2 * r()
        p_die, p_freeze, p_error = 0.04 * dread, 0.14 * dread, 0.15 * dread
        p_not_sent, p_lost_request, p_slow = 0.05 * dread, 0.12 * dread, 0.2 * dread
        p_busy, p_refuse, p_lost_answer = 0.04 * dread, 0.03 * dread, 0.3 * dread
        # The row.
        state, version, attempt, seen, looks = PLANNED, 0, 0, 0, 0
        next_at = fence_at = 0.0
        lease_until, token = 0.0, 0
        # The exchange: the first order of the id, and how many there are.
        placed = 0
        seen_from = closes_at = 0.0
        outcome = FILLED
        was_unknown = was_absent = wrong = False
        bad_before = duplicates + lost + stuck

        heap: list[tuple[float, ...]] = [(0.0, _STEP)]
        if r() < 0.3:
            heap.append((r(), _STEP))  # a second pair of eyes from the start: sweeper and worker
        while heap:
            event = heappop(heap)
            t = event[0]
            kind = event[1]
            if t > _QUIET_AFTER and p_die:
                p_die = p_freeze = p_error = p_not_sent = p_lost_request = p_slow = p_busy = p_lost_answer = 0.0

            if kind == _STEP:
                # Somebody reads the row, and acts if it is due.
                if final[state] and (state != NOT_PLACED or not is_exit):
                    continue
                if t > _STUCK_AFTER:
                    break
                if next_at > t:
                    heappush(heap, (next_at + r(), _STEP))
                    continue
                heappush(heap, (t + 0.5 + 2 * r(), _STEP))
                if state in (PLANNED, NOT_PLACED):
                    if lease_until > t:
                        continue
                    lease_until, token = t + lease_length, token + 1
                if state != SUBMITTING and r() < 0.8:  # behind an alert an order is looked at without a claim
                    next_at = t + claim_length
                if r() < p_die:
                    faults += 1
                    continue
                v, a, s, n, q, f, k = version, attempt, state, seen, looks, fence_at, token
                kind = _ACT
                if r() < p_freeze:
                    faults += 1
                    heappush(heap, (t + (1 + 299 * r() if r() < 0.5 else 1 + 30 * r()), _ACT, v, a, s, n, q, f, k))
                    continue
            elif kind == _ACT:
                v, a, s, n, q, f, k = event[2:]

            if kind == _ACT:
                if s == NOT_PLACED:
                    if version != v:
                        continue
                    # Planned anew: the account (blind here) shows that it is all still held.
                    state, version, seen, looks, next_at = PLANNED, version + 1, 0, 0, t
                    s, v = PLANNED, version
                if s == PLANNED:
                    kind = _CLAIM
                elif s == SUBMITTING:
                    # Its sender is taken for dead.
                    to = PLANNED if takeover_resends else UNKNOWN
                    if version == v or late[attempt == a][state] >> to & 1:
                        state, version, next_at = to, version + 1, t
                        was_unknown = True
                    if takeover_resends:
                        continue
                    v, a, s, n, q, f = version, attempt, state, seen, looks, fence_at
                    if final[s]:
                        continue
                    kind = _QUERY
                else:
                    kind = _QUERY

            if kind == _CLAIM:
                # The signed time is taken; then it is committed; then bytes leave. Each may be long after the other.
                e = skew * (2 * r() - 1) if r() < 0.5 else (skew if r() < 0.5 else -skew)
                signed_at = t + e
                if not is_exit and t > max_age:
                    if version == v:
                        state, version, next_at = EXPIRED, version + 1, _NEVER
                    continue
                if early:
                    heappush(heap, (t + 0.01, _BYTES, signed_at, attempt + 1, version + 1, k))
                    if r() < p_die:
                        faults += 1
                        continue
                kind = _COMMIT
                if r() < 0.2 * p_freeze:
                    faults += 1
                    heappush(heap, (t + 1 + 99 * r(), _COMMIT, v, signed_at, k))
                    continue
            elif kind == _COMMIT:
                v, signed_at, k = event[2:]

            if kind == _COMMIT:
                if version != v and (swaps or state not in (PLANNED, SUBMITTING, UNKNOWN)):
                    continue
                state, version, attempt = SUBMITTING, version + 1, attempt + 1
                fence_at, next_at = signed_at + fence, t + send_limit
                if early:
                    continue
                a, v = attempt, version
                if r() < p_die:
                    faults += 1
                    continue
                kind = _BYTES
                if r() < p_freeze:
                    faults += 1
                    x = r()
                    if x < 0.6:
                        at = t + 1 + 299 * r()
                    else:  # wakes just before, or just after, the exchange stops taking it
                        at = signed_at + W + (r() - 0.8)
                        if at < t:
                            at = t
                    heappush(heap, (at, _BYTES, signed_at, a, v, k))
                    continue
            elif kind == _BYTES:
                signed_at, a, v, k = event[2:]

            if kind == _BYTES:
                if resigns:
                    signed_at = t
                x = r()
                if x < p_not_sent:
                    faults += 1
                    heappush(heap, (t + 3 * r(), _HEARD, a, v, NOT_SENT, k))
                    continue
                hears = r() >= p_die
                if not hears:
                    faults += 1
                if r() < p_lost_request:
                    faults += 1
                    if hears:
                        heappush(heap, (t + _ANSWER_WITHIN, _HEARD, a, v, SILENCE, k))
                    continue
                at = t + 0.02 + 0.2 * r()
                if r() < p_slow:
                    faults += 1
                    x = r()
                    if x < 0.4:
                        at = t + 20 * r()
                    elif x < 0.8:
                        at = max(t, signed_at + W - 0.5 * r())
                    else:
                        at = t + 120 * r()
                    if hears and at > t + _ANSWER_WITHIN:
                        heappush(heap, (t + _ANSWER_WITHIN, _HEARD, a, v, SILENCE, k))
                        hears = False
                heappush(heap, (at, _ARRIVE, signed_at, a, v, k, hears, t + _ANSWER_WITHIN))
                continue

            if kind == _ARRIVE:
                signed_at, a, v, k, hears, deadline = event[2:]
                if t - signed_at > W or signed_at - t > W:
                    answer = CLOCK
                elif r() < p_busy:
                    faults += 1
                    answer = BUSY
                elif placed and (remembers_for_ever or (remembers_open and t < closes_at)):
                    answer = KNOWN
                    refused += 1
                elif r() < p_refuse:
                    answer = REFUSED
                else:
                    answer = OK
                    placed += 1
                    if placed == 1:
                        if a > 1:
                            resent += 1
                        x = r()
                        if x < p_slow:
                            faults += 1
                            seen_from = t + V
                        else:
                            seen_from = t + V * r() if x < 2 * p_slow else t
                        x = r()
                        closes_at = t if x < 0.7 else t + 40 * r()
                        outcome = FILLED if r() < 0.85 else (CANCELED if r() < 0.8 else REJECTED)
                        if remembers_for_ever and r() < 0.1 * p_slow:
                            # A gateway sent it twice, and the second answer is the one that is heard.
                            faults, refused, answer = faults + 1, refused + 1, KNOWN
                if not hears:
                    continue
                at = t + 0.02 + 0.2 * r()
                if r() < p_lost_answer:
                    faults += 1
                    answer = SILENCE
                    if r() < 0.6:  # the rest are a gateway's errors, which come at once
                        at = deadline
                if r() < p_freeze:
                    faults += 1
                    at = t + 1 + 299 * r()
                heappush(heap, (at, _HEARD, a, v, answer, k))
                continue

            if kind == _HEARD:
                a, v, answer, k = event[2:]
                if r() < 0.5 * p_die:  # dies, or its database does, before it can write it down
                    faults += 1
                    continue
                if k == token and lease_until > t:
                    lease_until = t
                to = verdict[answer]
                if not (allowed if version == v else late[attempt == a])[state] >> to & 1:
                    continue
                if final[state]:
                    wrong |= bool(bits >> to & 1) and not (placed and outcome == REJECTED)
                    heappush(heap, (t, _STEP))
                state, version = to, version + 1
                if to == UNKNOWN:
                    was_unknown = True
                    seen = looks = 0
                    next_at = t + pauses[0]
                elif to == PLANNED:
                    next_at = t + (1 if answer != NOT_SENT else min(2.0**attempt, 30.0))
                elif to == ACCEPTED:
                    next_at = t + 0.1
                else:
                    next_at = _NEVER
                continue

            if kind == _QUERY:
                # What the exchange says is true at one moment; it is weighed at another.
                if r() < p_error:
                    faults += 1
                    found = -2 if failed_is_absent else -1
                elif placed and seen_from <= t:
                    found = outcome if closes_at <= t else ACCEPTED
                else:
                    found = -2
                kind = _RESULT
                if r() < p_freeze:
                    faults += 1
                    heappush(heap, (t + (1 + 299 * r() if r() < 0.5 else 8 * r()), _RESULT, v, a, s, n, q, f, found))
                    continue
            elif kind == _RESULT:
                v, a, s, n, q, f, found = event[2:]

            if r() < p_die:
                faults += 1
                continue
            if found >= 0:
                to = found
                if to != s:
                    if not (allowed if version == v else late[attempt == a])[state] >> to & 1:
                        continue
                    if final[state]:
                        wrong |= bool(bits >> to & 1) and not (placed and outcome == REJECTED)
                        heappush(heap, (t, _STEP))
                    state, version = to, version + 1
                    next_at = _NEVER if final[to] else t + 1
                    continue
            elif found == -2:
                e = skew if r() < 0.5 else skew * (2 * r() - 1)
                what = next_look[s, t + e > f, n]
                if resends_after:
                    what = "absent" if s == UNKNOWN and q + 1 >= resends_after else "wait"
                if what == "again":
                    if version == v:
                        seen, looks, version, next_at = 1, q + 1, version + 1, t + apart
                    continue
                if what == "absent" and r() >= p_error:  # the account is read once more, and it may not answer
                    if not (allowed if version == v else late[attempt == a])[state] >> NOT_PLACED & 1:
                        continue
                    was_absent = True
                    state, version = NOT_PLACED, version + 1
                    next_at = t if is_exit else _NEVER
                    continue
            # No news: look again later.
            if version == v:
                next_at = t + pauses[q if q < last_pause else last_pause]
                looks = q + 1

        if placed > 1:
            duplicates += 1
        elif not final[state] or (state == NOT_PLACED and is_exit):
            stuck += 1
        elif wrong or (state != outcome if placed else state not in (NOT_PLACED, REJECTED, EXPIRED)):
            lost += 1
        doubtful += was_unknown
        absent += was_absent
        if duplicates + lost + stuck > bad_before and tally.first_bad < 0:
            tally.first_bad = seed

    tally.faults, tally.duplicates, tally.lost, tally.stuck = faults, duplicates, lost, stuck
    tally.unknown, tally.absent, tally.resent, tally.refused = doubtful, absent, resent, refused
    return tally


def _chunk(task: tuple[int, str, int, Protocol]) -> Counts:
    count, policy, seed, protocol = task
    return play(count, policy=policy, seed=seed, protocol=protocol)


def campaign(
    histories: int,
    *,
    seed: int,
    policies: Iterable[str] = POLICIES,
    protocol: Protocol = OURS,
    processes: int | None = None,
) -> dict[str, Counts]:
    """Run so many histories for each policy, on every core; the same again for the same seed, however many cores."""
    tasks = []
    for policy in policies:
        left = histories
        while left > 0:
            tasks.append((min(left, CHUNK), policy, seed * 1_000_003 + len(tasks), protocol))
            left -= CHUNK
    tallies = {policy: Counts() for policy in policies}
    cores = processes or os.cpu_count() or 1
    if cores == 1 or len(tasks) == 1:
        for task in tasks:
            tallies[task[1]].add(_chunk(task))
        return tallies
    with multiprocessing.get_context("fork").Pool(min(cores, len(tasks))) as pool:
        for task, tally in zip(tasks, pool.imap(_chunk, tasks), strict=True):
            tallies[task[1]].add(tally)
    return tallies


def main(count: int, seed: int) -> Tally:
    """Run `count` histories for each policy and tell of each. One of several processes, it keeps to its own core."""
    started = time.monotonic()
    tally = Tally("protocol model", seed)
    for policy, counts in campaign(count, seed=seed, processes=1 if "TORTURE_SHARD" in os.environ else None).items():
        sys.stdout.write(
            f"  ids refused {policy}: {counts.histories} histories, in doubt {counts.unknown}, proved absent "
            f"{counts.absent}, sent again {counts.resent}, second orders refused by id {counts.refused}\n"
        )
        tally.histories += counts.histories
        tally.faults += counts.faults
        tally.duplicates += counts.duplicates
        tally.lost += counts.lost
        tally.stuck += counts.stuck
        if counts.bad:
            tally.violations.append(f"policy {policy!r}: play({CHUNK}, seed={counts.first_bad}) has a bad history")
    tally.seconds = time.monotonic() - started
    return tally
