from __future__ import annotations

import pytest
from cloud_storage.library import words


@pytest.mark.parametrize(
    ("word", "exactly", "found"),
    [
        ("ink", False, None),
        ("ink", True, "ink.safetensors"),
        ("style\\ink", False, "style/ink.safetensors"),
        ("style/ink.safetensors", True, "style/ink.safetensors"),
        ("wash", False, "style/wash.safetensors"),
        ("wash", True, None),
        ("none", False, None),
    ],
)
def test_a_word_means_the_model_of_its_folder_or_the_only_one(catalogued, word, exactly, found):
    keys = ["style/ink", "style/wash", *(["ink"] if exactly else ["other/ink"])]
    catalogue = catalogued(*(f"loras/{key}.safetensors" for key in keys)).catalogue
    model = words.meant(words.candidates(catalogue, "loras", word), word, exactly=exactly)
    assert (model.name.replace("\\", "/") if model else None) == found
