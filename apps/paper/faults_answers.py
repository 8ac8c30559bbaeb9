"""What a fault leaves of an answer."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from apps.paper.faults import Fault
from apps.paper.wire import JsonAnswer, envelope

HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
    "<body><h1>Sorry, you have been blocked</h1></body></html>"
)
_RETIRED = {
    "msg": "This endpoint has been deprecated. Please refer to the latest API documentation.",
    "code": 30031,
}
_DATA: Mapping[str, object] = {"null": None, "empty": {}, "text": ""}
_ORDER_IDS = ("order_id", "orderId")
_CLIENT_IDS = ("client_order_id", "clientOrderId")
_TIMES = ("create_time", "createTime", "open_timestamp", "time", "timestamp")
# In a row's words, when a single order is asked for and is not to be seen yet.
_NOT_FOUND = {"/spot/": (50005, "Order Id not found"), "/contract/": (40035, "The order is not exist")}
Row = dict[str, object]


def spoiled(fault: Fault, answer: Response | None, *, path: str, now_ms: int) -> Response:
    """Return the answer in place of `answer`, which is None when nothing was carried out."""
    if fault.action in {"code", "too_many", "banned", "maintenance"}:
        return JsonAnswer(envelope(code=fault.code, message=fault.message, data={}), fault.status)
    if fault.action == "status":
        return PlainTextResponse("", fault.status)
    if fault.action == "html":
        return HTMLResponse(HTML_PAGE, fault.status)
    if fault.action == "retired":
        return JsonAnswer(_RETIRED, fault.status)
    if answer is None:
        raise ValueError(f"{fault.action} needs an answer")
    change = _CHANGES.get(fault.action)
    if change is None:
        return answer
    return change(fault, answer, path, now_ms)


def half(answer: Response) -> bytes:
    body = bytes(answer.body)
    return body[: len(body) // 2]


def _truncated(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    return Response(half(answer), answer.status_code, media_type="application/json")


def _no_data(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    content = _read(answer)
    content.pop("data", None)
    if fault.data in _DATA:
        content["data"] = _DATA[fault.data]
    return _again(answer, content)


def _other_order(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    content = _read(answer)
    content["data"] = _each_row(content.get("data"), _renamed)
    return _again(answer, content)


def _odd_state(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    content = _read(answer)
    content["data"] = _each_row(content.get("data"), _in_odd_state)
    return _again(answer, content)


def _invisible(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    content = _read(answer)
    data, since = content.get("data"), now_ms - fault.delay_ms
    if isinstance(data, dict) and _is_young(data, since):
        code, message = next((found for start, found in _NOT_FOUND.items() if path.startswith(start)), (30000, ""))
        return JsonAnswer(envelope(code=code, message=message, data={}), 400, _kept_headers(answer))
    content["data"] = _rows_changed(data, lambda rows: [row for row in rows if not _is_young(row, since)])
    return _again(answer, content)


def _twice(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    content = _read(answer)
    content["data"] = _rows_changed(content.get("data"), lambda rows: [row for row in rows for _ in range(2)])
    return _again(answer, content)


def _reversed(fault: Fault, answer: Response, path: str, now_ms: int) -> Response:
    content = _read(answer)
    content["data"] = _rows_changed(content.get("data"), lambda rows: rows[::-1])
    return _again(answer, content)


_CHANGES: Mapping[str, Callable[[Fault, Response, str, int], Response]] = {
    "truncated": _truncated,
    "no_data": _no_data,
    "other_order": _other_order,
    "odd_state": _odd_state,
    "invisible": _invisible,
    "twice": _twice,
    "reversed": _reversed,
}


def _read(answer: Response) -> Row:
    # Figures are texts on this wire or whole; what little is neither must not change on its way through.
    content: Row = json.loads(bytes(answer.body), parse_float=Decimal)
    return content


def _again(answer: Response, content: Row) -> Response:
    return JsonAnswer(content, answer.status_code, _kept_headers(answer))


def _kept_headers(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("x-bm-")}


def _rows_changed(data: object, change: Callable[[list[object]], list[object]]) -> object:
    """Apply `change` to the list that `data` is, or to the lists it holds."""
    if isinstance(data, list):
        return change(data)
    if isinstance(data, dict):
        return {name: change(value) if isinstance(value, list) else value for name, value in data.items()}
    return data


def _each_row(data: object, change: Callable[[Row], Row]) -> object:
    if isinstance(data, list):
        return [_each_row(row, change) for row in data]
    return change(data) if isinstance(data, dict) else data


def _renamed(row: Row) -> Row:
    changed = dict(row)
    for name in _ORDER_IDS:
        value = row.get(name)
        if value is not None:
            other = int(str(value)) + 1_000_000
            changed[name] = other if isinstance(value, int) else str(other)
    for name in _CLIENT_IDS:
        if name in row:
            changed[name] = "another1"
    return changed


def _in_odd_state(row: Row) -> Row:
    if "state" not in row:
        return row
    return row | {"state": 9 if isinstance(row["state"], int) else "reviewing"}


def _is_young(row: object, since_ms: int) -> bool:
    if not isinstance(row, dict):
        return False
    for name in _TIMES:
        value = row.get(name)
        if isinstance(value, int | str) and str(value).isdecimal():
            return int(value) > since_ms
    return False
