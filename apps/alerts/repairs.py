"""What was changed in a message before it could be read."""

from dataclasses import dataclass
from enum import StrEnum


class RepairCode(StrEnum):
    ENCODING = "encoding"
    BOM = "bom"
    QUOTES = "quotes"
    CHARACTERS = "characters"
    WRAPPED = "wrapped"
    ESCAPED = "escaped"
    DOUBLED_QUOTES = "doubled_quotes"
    FORM = "form"
    TRAILING_COMMA = "trailing_comma"
    MISSING_COMMA = "missing_comma"
    SINGLE_QUOTES = "single_quotes"
    PYTHON_WORDS = "python_words"
    COMMENTS = "comments"
    BARE_NUMBER = "bare_number"
    LINE_BREAK = "line_break"
    NAN = "nan"
    KEY_FOLDED = "key_folded"
    VALUE_FOLDED = "value_folded"
    SYNONYM = "synonym"
    GROUPING = "grouping"
    DECIMALS_CUT = "decimals_cut"
    DELAYED_DATA = "delayed_data"
    ONLY_CLOSES = "only_closes"


# Said about the message without changing it: a strict connector runs these.
REMARKS = frozenset({RepairCode.DELAYED_DATA, RepairCode.ONLY_CLOSES})

SENTENCES = {
    RepairCode.ENCODING: "we changed: the text was not UTF-8 and was read as {detail}",
    RepairCode.BOM: "we changed: dropped the byte order mark before the message",
    RepairCode.QUOTES: "we changed: curly quotes to straight ones",
    RepairCode.CHARACTERS: "we changed: full-width, invisible or special space characters to plain ones",
    RepairCode.WRAPPED: "we changed: took the message out of the quotes around it",
    RepairCode.ESCAPED: "we changed: read the literal backslash escapes in the message",
    RepairCode.DOUBLED_QUOTES: "we changed: doubled quotes to single ones",
    RepairCode.FORM: "we changed: read the message from a web form ({detail})",
    RepairCode.TRAILING_COMMA: "we changed: dropped a comma after the last value",
    RepairCode.MISSING_COMMA: "we changed: added a comma missing at the end of a line",
    RepairCode.SINGLE_QUOTES: "we changed: single quotes to double ones",
    RepairCode.PYTHON_WORDS: "we changed: True, False or None to their JSON spelling",
    RepairCode.COMMENTS: "we changed: dropped comments",
    RepairCode.BARE_NUMBER: "we changed: put {detail} in quotes",
    RepairCode.LINE_BREAK: "we changed: kept a line break or tab inside a value",
    RepairCode.NAN: "we changed: read {detail}, which JSON does not know, as text",
    RepairCode.KEY_FOLDED: "we changed: read the key {detail}",
    RepairCode.VALUE_FOLDED: "we changed: read {detail}",
    RepairCode.SYNONYM: "we changed: read {detail}",
    RepairCode.GROUPING: "we changed: dropped the thousands separators of {detail}",
    RepairCode.DECIMALS_CUT: "we changed: cut {detail} after the 18th decimal",
    RepairCode.DELAYED_DATA: "note: the chart uses delayed data ({detail}), so this alert comes minutes late",
    RepairCode.ONLY_CLOSES: "note: {detail}, so this message may close a position and opens none",
}


@dataclass(frozen=True, slots=True)
class Repair:
    code: RepairCode
    sentence: str

    @property
    def is_remark(self) -> bool:
        return self.code in REMARKS


def repair(code: RepairCode, detail: str = "") -> Repair:
    """Return the repair with its sentence; `detail` must already be showable."""
    return Repair(code, SENTENCES[code].format(detail=detail))
