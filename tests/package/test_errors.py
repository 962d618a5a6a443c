"""The errors themselves: what their messages hold, and how ComfyUI and Python treat them."""

from __future__ import annotations

import copy
import pickle

import pytest
from cloud_storage import errors


def test_a_message_holds_no_secret():
    said = errors.scrub("https://a/b?X-Amz-Signature=1 x-amz-security-token: abc\nkey s3cr3t", "s3cr3t", "")
    assert said == "https://a/b x-amz-security-token: *** key ***"


ALL = sorted(
    name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)
)


@pytest.mark.parametrize("name", ALL)
def test_comfyui_names_an_error_shortly_and_it_can_still_be_copied_and_pickled(name):
    kind = getattr(errors, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"cloud_storage.{name}"  # execution.py, full_type_name
    error = kind("it failed.")
    if isinstance(error, errors.StorageError):
        error.scope = errors.Scope.OBJECT
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(other), str(other), vars(other)) == (kind, "it failed.", vars(error))
