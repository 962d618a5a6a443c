"""Stand-in for the interrupt of ``comfy.model_management``: raising clears the flag.

The exception is an ``Exception`` in core 0.3.64 and a ``BaseException`` in 0.33; the harder one is used here.
"""

import threading

interrupt_processing_mutex = threading.RLock()
interrupt_processing = False


class InterruptProcessingException(BaseException):
    pass


def interrupt_current_processing(value: bool = True) -> None:
    global interrupt_processing  # noqa: PLW0603  the host's own form
    with interrupt_processing_mutex:
        interrupt_processing = value


def processing_interrupted() -> bool:
    with interrupt_processing_mutex:
        return interrupt_processing


def throw_exception_if_processing_interrupted() -> None:
    global interrupt_processing  # noqa: PLW0603
    with interrupt_processing_mutex:
        if interrupt_processing:
            interrupt_processing = False
            raise InterruptProcessingException


free_bytes = 1 << 40


def get_free_memory(dev: object = None, torch_free_too: bool = False) -> int:
    return free_bytes
