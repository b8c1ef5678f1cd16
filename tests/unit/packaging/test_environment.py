"""`tools/make-environment` takes the interpreter that is named, or says why not."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.unit.docs.blocks import ROOT


def test_a_named_interpreter_that_cannot_be_used_is_not_replaced_by_another(
    tmp_path: Path,
) -> None:
    tool = tmp_path / "tools" / "make-environment"
    tool.parent.mkdir()
    shutil.copy(ROOT / "tools" / "make-environment", tool)
    ended = subprocess.run(
        [tool, "run"],
        env=os.environ | {"PYTHON": "/nowhere/python3.12"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "3.11 or newer, which is none of: /nowhere/python3.12" in ended.stderr
    assert not (tmp_path / ".venv").exists()
