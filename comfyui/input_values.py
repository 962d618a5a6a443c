"""What a node is given, looked at before the node runs: each value by the kind that its input declares.

ComfyUI checks what is typed into a widget, and nothing that comes by a wire or beside its page; a node that
takes any type hands on whatever it gets. A value that cannot be meant is refused here, in words that name the
input; what the kind allows and the node does not is the node's to refuse.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigurationError, MediaError, sentence
from ..media.image_tensor import is_batch
from ..profile import Profile

# Lists of what this server has: the node says of a name that is not there what is known instead.
_OF_THIS_SERVER = ("profile", "provider", "model_type", "model")
MAX_CHARACTERS = 8192  # of any text; what of it is a key has 1,024 bytes
_SHOWN = 60  # characters of a value, in a message


def check(node: type) -> type:
    """The node class, whose method and IS_CHANGED look at what they are given first.

    The method raises ConfigurationError or MediaError for it; IS_CHANGED raises nothing, and answers with
    what tells one such value from another: the method will meet and show it.
    """
    function: str = node.FUNCTION  # type: ignore[attr-defined]
    method = getattr(node, function)
    names = list(inspect.signature(method).parameters)[1:]
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def run(self: object, *placed: Any, **given: Any) -> object:  # noqa: ANN401
            return await method(self, **_meant(node, {**dict(zip(names, placed, strict=False)), **given}))

    else:

        @functools.wraps(method)
        def run(self: object, *placed: Any, **given: Any) -> object:  # noqa: ANN401
            return method(self, **_meant(node, {**dict(zip(names, placed, strict=False)), **given}))

    setattr(node, function, run)
    if "IS_CHANGED" in vars(node):
        node.IS_CHANGED = classmethod(_answering(vars(node)["IS_CHANGED"].__func__))  # type: ignore[attr-defined]
    return node


def _answering(is_changed: Callable[..., object]) -> Callable[..., object]:
    names = list(inspect.signature(is_changed).parameters)[1:]

    @functools.wraps(is_changed)
    def answer(cls: type, *placed: Any, **given: Any) -> object:  # noqa: ANN401
        given = {**dict(zip(names, placed, strict=False)), **given}
        try:
            wires = {name for name, value in given.items() if value is None}
            meant = _meant(cls, {name: value for name, value in given.items() if name not in wires})
        except (ConfigurationError, MediaError) as error:
            return hashlib.sha256(str(error).encode(errors="replace")).hexdigest()[:16]
        return is_changed(cls, **dict.fromkeys(wires), **meant)

    return answer


def _meant(node: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with each value as its kind has it. Raises ConfigurationError, MediaError."""
    declared = node.INPUT_TYPES()  # type: ignore[attr-defined]
    offered = {**declared.get("required", {}), **declared.get("optional", {})}
    hidden = declared.get("hidden", {})
    own = getattr(node, "VALIDATE_INPUTS", None)  # what it names is checked there, as ComfyUI does it
    checked = [name for name in inspect.signature(own).parameters if name in given] if own else []
    if own is not None:
        said = own(**{name: given[name] for name in checked})
        if said is not True:
            raise ConfigurationError(said)
    found = dict(given)
    for name, value in given.items():
        if name in offered and name not in checked:
            kind, *options = offered[name]
            found[name] = _value(name, value, kind, options[0] if options else {})
        elif name in checked and name in _OF_THIS_SERVER:
            found[name] = _value(name, value, "STRING", {})
        elif name in hidden:
            _hidden(name, value, hidden[name])
    return found


def _value(name: str, value: Any, kind: Any, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if isinstance(kind, list):
        _text(name, value, options)
        if value not in kind and name not in _OF_THIS_SERVER:
            raise _refusal(name, value, "one of its list", f"Choose one of: {', '.join(kind)}.")
    elif kind in _KINDS:
        return _KINDS[kind](name, value, options)
    return value


def _text(name: str, value: Any, _options: Mapping[str, Any]) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise _refusal(name, value, "text", "Type text, or wire a node that gives text.")
    if len(value) > MAX_CHARACTERS:
        said = f"{len(value):,} characters came, and it takes {MAX_CHARACTERS:,}"
        raise ConfigurationError(sentence("use this input", name, said, "Shorten the text."))
    return value


def _number(name: str, value: Any, options: Mapping[str, Any]) -> float:  # noqa: ANN401
    least, most = options.get("min", -math.inf), options.get("max", math.inf)
    advice = f"Give a number from {least} to {most}."
    if not isinstance(value, numbers.Real) or not least <= value <= most:  # nor is NaN within them
        raise _refusal(name, value, "a number within its limits", advice)
    return value  # type: ignore[return-value]


def _whole(name: str, value: Any, options: Mapping[str, Any]) -> int:  # noqa: ANN401
    number = _number(name, value, options)
    if number != int(number):
        raise _refusal(name, value, "a whole number", "Give a whole number.")
    return int(number)


def _truth(name: str, value: Any, _options: Mapping[str, Any]) -> bool:  # noqa: ANN401
    if not isinstance(value, numbers.Real) or value not in (0, 1):
        raise _refusal(name, value, "true or false", "Wire a node that gives true or false.")
    return bool(value)


def _profile(name: str, value: Any, _options: Mapping[str, Any]) -> Profile | None:  # noqa: ANN401
    if value is not None and not isinstance(value, Profile):
        raise _refusal(name, value, "a profile", "Wire Cloud Storage Profile to it.")
    return value


def _image(name: str, value: Any, _options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if not is_batch(value):
        shape = tuple(getattr(value, "shape", ()))
        came = f"values of {' x '.join(map(str, shape))}" if shape else shown(value)
        if 0 in shape:
            came = "an empty batch"
        said = f"{came} came, and it takes pictures: batch x height x width x channels"
        raise MediaError(sentence("use this input", name, said, "Wire a node that gives IMAGE."))
    return value


def _vae(name: str, value: Any, _options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if value is not None and not callable(getattr(value, "encode", None)):
        raise _refusal(name, value, "a VAE", "Wire a node that gives VAE.")
    return value


_KINDS: Mapping[str, Callable[[str, Any, Mapping[str, Any]], Any]] = {
    "STRING": _text,
    "INT": _whole,
    "FLOAT": _number,
    "BOOLEAN": _truth,
    "S3_PROFILE": _profile,
    "IMAGE": _image,
    "VAE": _vae,
}


def _hidden(name: str, value: Any, kind: str) -> None:  # noqa: ANN401
    """What whoever queued the prompt sent with it; a prompt of no run is None."""
    takes = str if kind == "UNIQUE_ID" else Mapping
    if value is not None and not isinstance(value, takes):
        raise _refusal(name, value, "what ComfyUI gives", "Queue the workflow from ComfyUI's page.")


def _refusal(name: str, value: object, takes: str, advice: str) -> ConfigurationError:
    said = f"{shown(value)} came, and it takes {takes}"
    return ConfigurationError(sentence("use this input", name, said, advice))


def shown(value: object) -> str:
    """A value in a message: what it is, and where that is short, how it is written."""
    kind = type(value).__name__
    if isinstance(value, str):
        return repr(value[:_SHOWN])
    if isinstance(value, int) and value.bit_length() > _SHOWN * 3:  # Python prints none of 4,301 digits
        return f"a huge {kind}"
    return repr(value) if isinstance(value, int | float) else f"a value of type {kind}"
