"""How times are written where no template says it: in the staff pages, where alerts come several a second."""

DATETIME_FORMAT = "Y-m-d H:i:s"
