from __future__ import annotations

import pytest
from cloud_storage.comfyui import interrupt
from comfy import model_management


def test_a_cancel_is_seen_until_it_is_raised_once(comfyui):
    interrupt.raise_if_interrupted()
    assert not interrupt.is_interrupted()
    model_management.interrupt_current_processing()
    assert interrupt.is_interrupted()
    with pytest.raises(model_management.InterruptProcessingException):
        interrupt.raise_if_interrupted()
    assert not interrupt.is_interrupted()
