import logging

import pytest

from apps.lib.logs import RedactFilter

POINTER = "sf_" + "abcdefgh" * 3 + "abcdwxyz"


@pytest.mark.parametrize("around", ["{}", "/webhook/{}", "/webhook/{}_btc", "bot{}1h", "{}.json?a={}"])
def test_a_pointer_is_cut_out_of_a_line_whatever_stands_beside_it(around: str) -> None:
    path = around.replace("{}", POINTER)
    line = logging.LogRecord("django.request", logging.WARNING, "", 1, "Not Found: %s", (path,), None)

    RedactFilter().filter(line)

    assert line.getMessage() == "Not Found: " + around.replace("{}", "••••wxyz")
