"""One world of histories, from its seed to the oracle's verdict."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from apps.lib import world
from apps.trading import reconcile
from tests.torture import database, laws, oracle, person, rest, tenants
from tests.torture.clock import VirtualWorld
from tests.torture.death import Reaper, draw_points, tapped
from tests.torture.engine import Alarms, Engine, connected
from tests.torture.steps import History
from tests.torture.tally import Tally
from tests.torture.tenants import Tenant
from tests.torture.venue import Venue

STEPS = 40
SETTLING_ROUNDS = 40
# So many rounds in a row nothing but a person's word is waited for: then it is given.
STANDSTILL_ROUNDS = 3
PRICE = Decimal(60_000)


def run(people: list[Tenant], name: str, tally: Tally) -> str:
    """Live one world, add what it counted and tell it whole. `name` is its seed: the same name, the same words."""
    with staged(people, name) as scene:
        scene.live()
        scene.settle()
        scene.judge().into(tally, name, scene.histories, scene.told)
    tally.histories += len(people)
    tally.faults += scene.venue.fired + scene.faults + sum(history.faults for history in scene.histories)
    tally.faults += scene.reaper.deaths + scene.reaper.freezes
    return "\n".join(line for history in scene.histories for line in history.told)


@contextmanager
def staged(people: list[Tenant], name: str) -> Iterator["Scene"]:
    """Put a world in place that begins anew for these tenants."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
    dice, clock, reaper = random.Random(seed), VirtualWorld(seed), Reaper()
    with world.replaced(clock):
        database.name_from(seed)
        tenants.begin_anew(people, dice, clock.now())
        venue = Venue(clock, reaper, seed)
        with connected(venue) as alarms, tapped(reaper):
            yield Scene(people, dice, clock, reaper, venue, alarms)


class Scene:
    def __init__(
        self,
        people: list[Tenant],
        dice: random.Random,
        clock: VirtualWorld,
        reaper: Reaper,
        venue: Venue,
        alarms: Alarms,
    ) -> None:
        self.dice, self.clock, self.reaper, self.venue, self.alarms = dice, clock, reaper, venue, alarms
        self.engine = Engine(reaper)
        self.told: list[str] = []
        self.faults = 0
        self.histories = [self._history(tenant) for tenant in people]
        self.laws = laws.Watch(venue, clock, self.histories)
        self.price = PRICE
        self._set_price()
        reaper.on_freeze = self._frozen

    def _history(self, tenant: Tenant) -> History:
        dice = random.Random(self.dice.getrandbits(48))
        mode = "hedge_mode" if tenant.market == "futures" and dice.random() < 0.2 else "one_way_mode"
        policies = f"client_ids={dice.choice(['live', 'live', 'day'])}"
        account = self.venue.open_account(tenant.credentials, market=tenant.market, mode=mode, policies=policies)
        history = History(tenant, account.id, dice, self.venue)
        history.told.append(f"          {tenant.market}, {mode}, {policies}, mismatch {tenant.connector.mismatch}")
        return history

    def live(self) -> None:
        for _ in range(STEPS):
            for history in self.histories:
                history.step()
            self._weather()
            self._work()
            self.clock.sleep(self._pause())

    def settle(self) -> None:
        """No faults any more; time passes, and a person looks at what asking does not settle, until nothing is left."""
        self.reaper.freeze_in = self.reaper.death_in = 0
        self.venue.forget_faults()
        self.clock.jump(-self.clock.jumped.total_seconds())
        for history in self.histories:
            history.restore()
        reconcile.make_all_due()
        before, standing, since = rest.Rest(), 0, self.clock.now()
        for number in range(SETTLING_ROUNDS):
            # In the fourth round the orders of every account are due to be compared once more.
            self.clock.sleep(5 if number < 3 else 300 if number == 3 else 40)
            # Guards first: an account whose guards are due to be looked at is not compared.
            self.engine.sweep()
            self.engine.beat()
            self.engine.wake()
            left = rest.read(self.venue.open_orders(), since=since)
            standing = standing + 1 if left.stands_still_since(before) and not self.venue.has_in_flight else 0
            if number >= 3 and left.is_empty:
                return
            before = left
            if standing >= STANDSTILL_ROUNDS:
                if not person.settle(self.venue.names()):
                    return
                reconcile.make_all_due()
                standing, since = 0, self.clock.now()

    def judge(self) -> oracle.Found:
        """Hear the venue's book, and what the engine raised and went on from."""
        found = oracle.judge(self.histories, self.venue, self.laws)
        for text in self.alarms.raised:
            found.say("raised", None, text)
        return found

    def _pause(self) -> float:
        draw = self.dice.random()
        if draw < 0.6:
            return self.dice.uniform(0.05, 1.5)
        return self.dice.uniform(1.5, 8) if draw < 0.9 else self.dice.choice((15, 30, 65, 130))

    def _weather(self) -> None:
        """What happens to all at once."""
        dice = self.dice
        if dice.random() < 0.5:
            self.price *= Decimal(1) + Decimal(dice.randint(-100, 100)) / 10_000
            self._set_price()
        draw = dice.random()
        if draw < 0.015:
            self.price *= Decimal(dice.choice(("0.88", "1.12")))
            self._set_price()
            self._say(f"the price jumps to {self.price}")
        elif draw < 0.035:
            seconds = dice.choice((3, -3, 30, -30, 120, -120))
            self.clock.jump(seconds)
            self.faults += 1
            self._say(f"our clock jumps by {seconds} s")
        elif draw < 0.07 and self.clock.jumped:
            self.clock.jump(-self.clock.jumped.total_seconds())
            self._say("our clock is right again")
        elif draw < 0.08:
            action = dice.choice(("banned", "html"))
            self.venue.fault("", "/contract/private/*" if dice.random() < 0.6 else "*", action)
            self.faults += 1
            self._say(f"our address is shut out: {action}")
        elif draw < 0.09:
            self.venue.fault("", "*", "maintenance", times=dice.randint(1, 60))
            self.faults += 1
            self._say("maintenance")

    def _set_price(self) -> None:
        self.price = self.price.quantize(Decimal("0.1"))
        spread = self.dice.choice((None, None, Decimal(5)))
        for history_symbol in ("BTCUSDT", "BTC_USDT"):
            self.venue.set_price(history_symbol, self.price, depth=spread if history_symbol == "BTCUSDT" else None)

    def _work(self) -> None:
        """Workers wake, or are not told; some die, some freeze; the sweeper comes by."""
        dice = self.dice
        for _ in range(dice.choice((1, 1, 1, 2))):
            if dice.random() < 0.6:
                self.reaper.death_in = draw_points(dice)
            if dice.random() < 0.08:
                self.reaper.freeze_in = draw_points(dice)
            is_woken = dice.random() < 0.85
            if is_woken:
                alive = self.engine.wake()
                for _ in range(3):
                    if alive:
                        break
                    if dice.random() < 0.3:
                        self.reaper.death_in = draw_points(dice)
                    alive = self.engine.wake()
            if not is_woken or dice.random() < 0.4:
                self.engine.sweep()
            self.reaper.death_in = self.reaper.freeze_in = 0
            self.clock.sleep(dice.uniform(0.01, 0.6))
        self.engine.beat()

    def _frozen(self) -> None:
        """The worker stands still wherever it was; the others go on."""
        seconds = self.dice.choice((1, 5, 25, 65, 100, 300))
        self._say(f"a worker freezes for {seconds} s")
        death_in, self.reaper.death_in = self.reaper.death_in, 0
        until = self.clock.true_us + seconds * 1_000_000
        while self.clock.true_us < until:
            self.clock.sleep(min(max(seconds / 3, 1), 50))
            self.engine.sweep()
            self.engine.wake()
        self.reaper.death_in = death_in

    def _say(self, text: str) -> None:
        self.told.append(f"{self.clock.monotonic():9.3f} {text}")
