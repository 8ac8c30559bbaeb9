"""The words for the notes that reading and planning leave on an alert. Quantities are in the exchange's units."""

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    "IGNORED_KEY": "The key '{key}' was left out: we do not know it, or it has no meaning in this message.",
    "SYMBOL": "Symbol: {step}.",
    "RESIDUE_DROPPED": "{residue} {unit} of the quantity are less than one step of the exchange and were left out.",
    "EXCESS_WITHIN_TOLERANCE": "The exit is larger than the position by {excess}, too little to open the other side.",
    "EXCESS_NOT_OPENED": "The exit is larger than the position by {excess}. It closes; nothing was opened instead.",
    "EXIT_OF_MORE_THAN_HELD": "The exit is larger than the position by {excess}. Of that {kept} open nothing on the "
    "other side: they close what the strategy still counts and a stop loss, a take profit or somebody else has closed "
    "already, or what was never opened.",
    "OPENING_NOT_SIZED": "The message also opens the other side, and how much could not be told ({code}). It closes; "
    "nothing was opened instead.",
    "CLAMPED_TO_HELD": "The sell of {asked} was cut to the {held} that are held.",
    "SHORT_NOT_OPENED": "Spot cannot be sold short: the short part was not opened, and is remembered for the next buy.",
    "SHORT_PART_SUBTRACTED": "Part of this buy only covers a short that spot never had; it was subtracted.",
    "POSITION_MISMATCH": "The alert says the strategy was {claimed}; the account holds {actual}.",
    "POSITION_GAP": "The alert says {stated} were held before it; the account holds {held}. "
    "An alert may have been missed, or somebody else traded.",
    "MISSED_ALERT": "The alert says {stated} was held before it, but the one before it, of {previous_at}, left {left}. "
    "An alert in between may never have arrived, or its source counts anew: look at TradingView's alert log.",
    "OVERTAKEN": "The alert that the strategy sent after this one, of {at}, ran before it arrived. This one opens "
    "nothing, and closes no more than what the strategy has left since.",
    "ADDED_TO_HELD": "Added to the {held} already held.",
    "TARGET_USED": "The size after the order, {target}, came with the message and decided; {held} were held.",
    "TARGET_DISREGARDED": "The size after the order in the message does not fit the action, so it did not count.",
    "ADD_ALLOWED": "Add number {number} to the open position; the connector's rule: {rule}.",
    "CUT_TO_BALANCE": "{asked} {unit} would have needed {needed} {quote}, {available} {quote} could be used: cut to "
    "{sent} {unit}, as the connector is set.",
    "EXIT_REST_LEFT": "The exit is larger than five of the exchange's largest orders: {left} {unit} stay open. "
    "Send the exit again, or close the position on its connector's page.",
    "TAKEN_BACK_FOR_IT": "Open orders of ours in the symbol that were taken back for it: {number}.",
    "CANCELLATION_NOT_TOLD": "Own open orders were to be taken back first; the exchange did not tell of it within "
    "{waited} s, so the exit went out reduce-only, and nothing was opened. They are still being taken back.",
    "REPEATED_EXIT": "The same message arrived {after_s} s earlier, so this one only closes what is held, and opens "
    "nothing. Put {{{{timenow}}}} or an id into the message to tell them apart.",
    "SETUP_KEPT": "The message asks for {asked}; the open position has {kept}, which was kept. "
    "Leverage and margin mode change only while nothing is open in the symbol.",
    "PROTECTION_UNUSED": "Nothing is opened, so the stop loss, take profit or trailing stop has nothing to guard.",
    "CLOSED_AT_MARKET": "The limit price is for the opening order; the closing order before it went at the market.",
}


class _Facts(dict[str, str]):
    # A row written by another release may lack a fact; its sentence must still render.
    def __missing__(self, key: str) -> str:
        return "—"


def sentence_of(note: Mapping[str, object]) -> str:
    """Return the sentence of a stored note, {"code": …, "facts": {…}}; an unknown code is shown with its facts."""
    code = str(note.get("code", ""))
    found = note.get("facts")
    facts = {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
    if code in SENTENCES:
        return SENTENCES[code].format_map(_Facts(facts))
    listed = ", ".join(f"{name} {value}" for name, value in facts.items())
    return f"{code}: {listed}" if listed else code
