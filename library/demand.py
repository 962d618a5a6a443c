"""What a node of a running prompt needs: one file, here now."""

from __future__ import annotations

from ..comfyui import folders
from ..errors import NotFound, sentence
from ..system.meter import Meter
from .catalogue import Catalogue
from .fetches import Fetch, Fetches


class Demand:
    """The demand for the file that loaders of a type list as ``name``.

    ``meet`` is for a thread; meanwhile others read ``meter``, the bytes, and ``text``, what it waits for.
    """

    def __init__(self, catalogue: Catalogue, fetches: Fetches, folder_type: str, name: str) -> None:
        self._catalogue, self._fetches = catalogue, fetches
        self._folder_type, self._name = folder_type, name
        self._fetch: Fetch | None = None
        self._text = ""
        self._none = Meter()

    @property
    def meter(self) -> Meter:
        """Return what counts the bytes."""
        return self._fetch.meter if self._fetch else self._none

    @property
    def text(self) -> str:
        """Return what to show besides the bytes; "" if there is nothing."""
        return self._fetch.text if self._fetch else self._text

    def meet(self, meter: Meter) -> None:
        """Return when the file is here; ``meter`` stops the wait, but not the fetch.

        Raises NotFound if no bucket has it any more, errors of the fetch, and TransferCancelled.
        """
        if self._is_here():
            return
        model = self._catalogue.find(self._folder_type, self._name)
        if model is None:
            self._text = "Waiting for the list of models in the bucket"
            if not self._catalogue.state().is_listing:
                self._catalogue.refresh()
            self._catalogue.wait(meter)
            model = self._catalogue.find(self._folder_type, self._name)
        if model is None:
            said = "it is neither here nor in the bucket"
            error = self._catalogue.state().error
            advice = error or "Choose another model, or upload this one to the bucket."
            raise NotFound(sentence(f"fetch {self._name!r}", self._folder_type, said, advice))
        self._fetch = self._fetches.start(model, self._name, for_page=False)
        self._fetches.wait(self._fetch, meter)

    def _is_here(self) -> bool:
        is_running = self._fetches.running(self._folder_type, self._name) is not None
        return not is_running and folders.model_path(self._folder_type, self._name) is not None
