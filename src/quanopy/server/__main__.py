"""``python -m quanopy.server``: serve with the settings of file and environment."""

import sys

from quanopy.domain.errors import QuanopyError
from quanopy.server.run import serve
from quanopy.server.settings import load
from quanopy.wire.problems import kind_of

try:
    serve(load())
except QuanopyError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(kind_of(error).exit_code)
