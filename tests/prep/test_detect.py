"""The detector is loaded without torch's compiler, which is there for who wants it."""

import subprocess
import sys

CODE = """
import sys
import mmder_prep.detect
assert "torch._dynamo" not in sys.modules
assert "torch._inductor" not in sys.modules
import torch
add = torch.compile(lambda x: x + 1, backend="eager")
assert add(torch.ones(1)).item() == 2
assert hasattr(sys.modules["torch._dynamo"], "optimize")
"""


def test_the_compiler_is_not_loaded_and_works_when_it_is() -> None:
    """After the detector, `torch.compile` finds the real one."""
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
