"""What the other browser tests read of the product they started."""

from pathlib import Path

import pytest

from config import secretfile
from tests.e2e.product import Product


@pytest.mark.parametrize("token", ["-9xU_kQ", "_9xU-kQ", "9xU=kQ-"])
def test_product_reads_the_control_token_whatever_it_begins_with(tmp_path: Path, token: str) -> None:
    product = Product(tmp_path)
    product.state_dir.mkdir()
    secretfile.write(product.state_dir / "secrets.env", {"PAPER_CONTROL_TOKEN": token, "SECRET_KEY": "-other"})

    assert product.control_token == token
