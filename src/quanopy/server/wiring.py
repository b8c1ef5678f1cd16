"""Wiring: the only place where adapters are chosen and built."""

import contextlib
from dataclasses import dataclass

from quanopy.server.settings import Settings
from quanopy.server.web import Parts
from quanopy.services.submit import Submit
from quanopy.storage.objects import S3Access, open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups import open_wakeups
