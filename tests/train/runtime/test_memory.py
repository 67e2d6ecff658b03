"""Errors of exhausted memory are recognized by their class or their text."""

import re

import pytest
import torch

from mmder_store.errors import MmderError
from mmder_train.runtime.memory import (
    explain_out_of_memory,
    is_out_of_memory,
)

# As torch raises them; CUDA's own class of errors is a RuntimeError.
ACCELERATOR = getattr(torch, "AcceleratorError", RuntimeError)
MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 8 bytes. Error code 12"
    ),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "cuDNN Frontend error: [cudnn_frontend] Error: No valid execution plans built."
    ),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    ACCELERATOR("CUDA error: out of memory\nCUDA kernel errors might be asynchronous"),
]
OTHER = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x3 and 5x2)"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
    RuntimeError("DataLoader worker (pid 41) is killed by signal: Killed."),
    ValueError("CUDA error: out of memory"),
]


def test_torch_really_raises_the_text_of_the_cpu() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**62, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


def test_errors_are_told_apart() -> None:
    assert [is_out_of_memory(e) for e in MEMORY] == [True] * len(MEMORY)
    assert not any(is_out_of_memory(e) for e in OTHER)


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_the_message_is_one_line_with_a_way_out(error: Exception) -> None:
    text = "Use a smaller --encoder"
    with (
        pytest.raises(MmderError, match=re.escape(text)) as raised,
        explain_out_of_memory(),
    ):
        raise error
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_are_not_changed(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, explain_out_of_memory():
        raise error
    assert raised.value is error
