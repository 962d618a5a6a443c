"""Translate what an SDK raises into the errors of this package: what both backends do in the same way."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import StorageError, scrub, sentence
from . import retries
from .error_codes import Meaning, failure, refusal, without_quotes

if TYPE_CHECKING:
    from ..profile import Credentials


def hide_debug_lines(library: str) -> None:
    """Keep the debug lines of a library, which contain tokens and signed URLs, out of ComfyUI's log."""
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


class SdkErrors(ABC):
    """Reads the exceptions of one SDK, for the requests to one bucket.

    ``where`` names the bucket in messages. The secrets of ``credentials`` are removed from every message.
    """

    def __init__(self, where: str, credentials: Credentials) -> None:
        self._where, self._credentials = where, credentials

    @abstractmethod
    def code(self, error: BaseException) -> str:
        """Return the server's error code, its HTTP status if it gave no code, "" if no answer came."""

    @abstractmethod
    def status(self, error: BaseException) -> int:
        """Return the HTTP status of the server's answer, 0 if no answer came."""

    @abstractmethod
    def _answered(self, error: Exception, reading: bool, expected: bool) -> tuple[Meaning, str, str] | None:
        """Return what the server's answer means, its words, and its Date header; None if no answer came."""

    def _failed(self, error: Exception) -> Meaning | None:
        """Return what an exception without an answer means; None for a fault of this program."""
        return failure(error)

    def _words(self, error: Exception) -> str:
        return str(error)

    def verdict(self, error: Exception) -> retries.Verdict:
        """Decide whether to send the request again."""
        return retries.verdict(error, self.code(error), self.status(error))

    def translate(
        self,
        error: Exception,
        tried: str,
        *,
        reading: bool = False,
        expected: bool = False,
        advise: Callable[[Meaning, str], str] = lambda row, said: "",
    ) -> Exception:
        """Return ``error`` as one of this package; itself if it is one already, or a fault of this program.

        ``tried`` says what failed; ``reading`` and ``expected`` are those of ``error_codes.meaning``.
        ``advise`` gets what the server's answer means and its words, and returns further advice or "".
        """
        if isinstance(error, StorageError):
            return error
        words, secrets = self._words(error), self._credentials.reveal()[1:]
        without_quotes(error, *secrets)
        answer = self._answered(error, reading, expected)
        if answer is not None:
            row, said, date = answer
            said = scrub(said, *secrets)
            advice = f"{row.advice} {advise(row, said)}".rstrip()
            return refusal(dataclasses.replace(row, advice=advice), tried, self._where, said, date)
        failed = self._failed(error)
        if failed is None:
            return error
        return failed.error(sentence(tried, self._where, scrub(words, *secrets), failed.advice))

    def reraise(self, error: Exception, tried: str, **asked: Any) -> NoReturn:  # noqa: ANN401
        """Raise what ``translate`` returns, with ``error`` as its cause."""
        translated = self.translate(error, tried, **asked)
        if translated is error:
            raise error
        raise translated from error

    @contextlib.contextmanager
    def translated(self, tried: str, **asked: Any) -> Iterator[None]:  # noqa: ANN401
        """Translate what is raised in the block, as ``translate`` does."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised again as what it means
            self.reraise(error, tried, **asked)
