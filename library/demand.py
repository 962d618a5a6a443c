"""What a node of a running prompt needs: one file, here now."""

from __future__ import annotations

from ..comfyui import folders
from ..comfyui.cloud_files import FETCHED, UNCHANGED, CloudFile
from ..errors import NotFound, sentence
from ..loading import model_record
from ..system.meter import Meter
from . import words
from .catalogue import Catalogue, Model
from .fetches import Fetch, Fetches

WAITS = "Waiting for the list of models in the bucket"


class Demand:
    """The demand for the file that loaders of a type list as ``name``.

    ``meet`` is for a thread; meanwhile others read ``meter``, the bytes, and ``text``, what it waits for.
    """

    def __init__(
        self, catalogue: Catalogue, fetches: Fetches, folder_type: str, name: str, *, is_word: bool = False
    ) -> None:
        """``is_word``: the name is a word of a text; without a model for it nothing is done, as it may mean
        something else.
        """
        self._catalogue, self._fetches = catalogue, fetches
        self._folder_type, self._name, self._is_word = folder_type, name, is_word
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

    @property
    def has_fetched(self) -> bool:
        """Return whether the file had to be fetched."""
        return self._fetch is not None

    def meet(self, meter: Meter) -> None:
        """Return when the file is here; ``meter`` stops the wait, but not the fetch.

        Raises NotFound if no bucket has it any more, errors of the fetch, and TransferCancelled.
        """
        if self._is_word:
            self._wait_for_first_listing(meter)
            model = self._of_word()
            if model is None:
                return
            self._name = model.name
        if self._is_here():
            return
        model = self._catalogue.find(self._folder_type, self._name)
        if model is None:
            self._text = WAITS
            if not self._catalogue.state().is_listing:
                self._catalogue.refresh()
            self._catalogue.wait(meter)
            model = self._catalogue.find(self._folder_type, self._name)
        if model is None:
            said = "it is neither here nor in the bucket"
            error = self._catalogue.state().error
            advice = error or "Choose another model, or upload this one to the bucket."
            raise NotFound(sentence(f"fetch {self._name!r}", self._folder_type, said, advice))
        with self._fetches.held(model, self._name, folder_type=self._folder_type) as self._fetch:
            self._fetches.wait(self._fetch, meter)

    def file(self) -> CloudFile | None:
        """Return the file for programs, when the demand is met: "fetched" if it had to be fetched, also ahead
        of the prompt. None if it is not known to be a copy of an object of the library.
        """
        path = folders.model_path(self._folder_type, self._name)
        record = model_record.read(path) if path else None
        if path is None or record is None or not record.is_of(path):
            return None
        for member in self._catalogue.members.members:
            key = member.key_of(record.bucket, record.key)
            if key is not None:
                is_new = self._fetches.has_arrived(self._folder_type, self._name)
                return CloudFile(
                    FETCHED if is_new else UNCHANGED,
                    record.bucket,
                    key,
                    size=record.mark.size,
                    etag=record.etag,
                    sha256=record.sha256,
                    profile=member.name,
                )
        return None

    def arrivals(self) -> int:
        """Return how often the file has been fetched, see ``Fetches.arrivals``. Sends nothing."""
        model = self._of_word() if self._is_word else None
        return self._fetches.arrivals(self._folder_type, model.name if model else self._name)

    def _wait_for_first_listing(self, meter: Meter) -> None:
        if self._catalogue.is_first_listing():
            self._text = WAITS
            self._catalogue.wait(meter)
            self._text = ""

    def _of_word(self) -> Model | None:
        found = words.candidates(self._catalogue, self._folder_type, self._name)
        return words.meant([one for one in found if self._catalogue.is_on_demand(one)], self._name)

    def _is_here(self) -> bool:
        is_running = self._fetches.running(self._folder_type, self._name) is not None
        return not is_running and folders.model_path(self._folder_type, self._name) is not None
