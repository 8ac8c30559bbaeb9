"""Almost-JSON rewritten as JSON, token by token: text inside strings is never touched, nothing is evaluated."""

import json
import re
from dataclasses import dataclass

from apps.alerts.display import showable
from apps.alerts.repairs import Repair, RepairCode, repair

_TOKEN = re.compile(
    r"""
      (?P<space>(?:\s|\\[nrt])+)
    | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<double>"[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<single>'[^'\\]*(?:\\.[^'\\]*)*')
    | (?P<mark>[{}\[\],:])
    | (?P<word>[^\s{}\[\],:"'\\/]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|na|inf|infinity)", re.IGNORECASE | re.ASCII)
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}
_LITERAL_SPACE = re.compile(r"\\[nrt]")
# A string that is its own JSON: neither escapes nor anything beyond plain ASCII.
_VERBATIM = re.compile(r'"[ !#-\[\]-~]*"')
_STRINGS = json.JSONDecoder(strict=False)
_INSIDE_SINGLE = re.compile(r"\\.|\"", re.DOTALL)


class RewriteError(ValueError):
    """The text is further from JSON than the known repairs reach."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    text: str
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    starts_line: bool


def rewrite(text: str) -> Rewritten:
    """Return `text` as JSON with single quotes, comments, commas, bare words and literal escapes put right.

    Raise RewriteError at anything that is none of these.
    """
    rewriter = _Rewriter()
    tokens = rewriter.read(text)
    return Rewritten(" ".join(rewriter.with_commas(tokens)), tuple(rewriter.repairs.values()))


class _Rewriter:
    def __init__(self) -> None:
        self.repairs: dict[RepairCode, Repair] = {}

    def note(self, code: RepairCode, detail: str = "") -> None:
        self.repairs.setdefault(code, repair(code, detail))

    def read(self, text: str) -> list[_Token]:
        """Return the tokens that carry meaning, each already valid JSON by itself."""
        tokens: list[_Token] = []
        position, starts_line = 0, False
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise RewriteError(f"unreadable at {position}")
            position, kind, found = match.end(), str(match.lastgroup), match[0]
            if kind == "space":
                starts_line = starts_line or "\n" in found or "\\n" in found
                self._note_space(found)
            elif kind == "comment":
                self.note(RepairCode.COMMENTS)
            else:
                tokens.append(_Token(kind, self._token_text(kind, found), starts_line))
                starts_line = False
        return tokens

    def with_commas(self, tokens: list[_Token]) -> list[str]:
        """Return the token texts without trailing commas and with those missing before a new line's key."""
        out: list[str] = []
        depth = 0
        for index, token in enumerate(tokens):
            following = tokens[index + 1] if index + 1 < len(tokens) else None
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token.text, 0) if token.kind == "mark" else 0
            if token.kind == "mark" and token.text == "," and (depth == 0 or _closes(following)):
                self.note(RepairCode.TRAILING_COMMA)
                continue
            out.append(token.text)
            if depth and following and following.starts_line and _ends_value(token) and _is_text(following):
                self.note(RepairCode.MISSING_COMMA)
                out.append(",")
        return out

    def _note_space(self, found: str) -> None:
        if "\\" in found:
            self.note(RepairCode.ESCAPED)
        if _LITERAL_SPACE.sub("", found).strip(" \t\r\n"):
            self.note(RepairCode.CHARACTERS)

    def _token_text(self, kind: str, found: str) -> str:
        if kind == "mark":
            return found
        if kind == "word":
            return self._word(found)
        if kind == "single":
            self.note(RepairCode.SINGLE_QUOTES)
            found = '"' + _INSIDE_SINGLE.sub(_as_double, found[1:-1]) + '"'
        if _VERBATIM.fullmatch(found):
            return found
        try:
            content = _STRINGS.decode(found)
        except json.JSONDecodeError as error:
            raise RewriteError(f"bad escape: {error.msg}") from None
        if any(character < " " for character in found):
            self.note(RepairCode.LINE_BREAK)
        return json.dumps(content)

    def _word(self, word: str) -> str:
        if word in {"true", "false", "null"} or _JSON_NUMBER.fullmatch(word):
            return word
        if word in _PYTHON_WORDS:
            self.note(RepairCode.PYTHON_WORDS)
            return _PYTHON_WORDS[word]
        if _PLAIN_NUMBER.fullmatch(word):
            self.note(RepairCode.BARE_NUMBER, showable(word, 40))
            return json.dumps(word)
        if _NOT_FINITE.fullmatch(word):
            self.note(RepairCode.NAN, word)
            return json.dumps(word)
        raise RewriteError(f"bare word {word[:40]!r}")


def _as_double(match: re.Match[str]) -> str:
    return {'"': '\\"', "\\'": "'"}.get(match[0], match[0])


def _closes(token: _Token | None) -> bool:
    return token is not None and token.kind == "mark" and token.text in "}]"


def _is_text(token: _Token) -> bool:
    return token.kind in {"double", "single"}


def _ends_value(token: _Token) -> bool:
    return _is_text(token) or (token.kind == "mark" and token.text == "}")
