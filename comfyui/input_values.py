"""Checks what a node is given, before the node runs: each value by the kind that its input declares.

ComfyUI checks what is typed into a widget, but not what comes by a wire or is queued without its page, and a
node that accepts any type passes on whatever it gets. A value of a wrong kind is refused here, in a message
that names the input; a value of the right kind that the node cannot use is refused by the node.
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
from ..media.image_tensor import is_image_tensor
from ..profile import Profile

# Their lists are what this server has now. The node refuses an unknown name and tells the known ones.
_OF_THIS_SERVER = ("profile", "provider", "model_type", "model")
MAX_CHARACTERS = 8192  # of any text; a key has at most 1,024 bytes
CHARACTERS = "max_characters"  # the option of an input that takes more
_SHOWN = 60  # characters of a value, in a message


def check(node: type) -> type:
    """Make the node's method and IS_CHANGED check what they are given first; returns the node class.

    The method becomes a coroutine and raises ConfigurationError or MediaError. IS_CHANGED raises nothing: for
    a wrong value it returns a digest of the error, and the method will raise that error.
    """
    function: str = node.FUNCTION  # type: ignore[attr-defined]
    method = getattr(node, function)

    @functools.wraps(method)
    async def run(self: object, *placed: Any, **named: Any) -> object:  # noqa: ANN401
        result = method(self, **_checked(node, _by_name(method, placed, named)))
        return await result if inspect.isawaitable(result) else result

    setattr(node, function, run)
    if hasattr(node, "IS_CHANGED"):
        node.IS_CHANGED = classmethod(_answering(node.IS_CHANGED.__func__))
    return node


def _answering(is_changed: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(is_changed)
    def answer(cls: type, *placed: Any, **named: Any) -> object:  # noqa: ANN401
        given = _by_name(is_changed, placed, named)
        wired = [name for name, value in given.items() if value is None]
        try:
            checked = _checked(cls, {name: value for name, value in given.items() if value is not None})
        except (ConfigurationError, MediaError) as error:
            return hashlib.sha256(str(error).encode(errors="replace")).hexdigest()[:16]
        return is_changed(cls, **dict.fromkeys(wired), **checked)

    return answer


def _by_name(
    method: Callable[..., object], placed: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    """All arguments by name; the first parameter is ``self`` or ``cls``."""
    return {**dict(zip(list(inspect.signature(method).parameters)[1:], placed, strict=False)), **named}


@functools.cache
def _declared(node: type) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The shown inputs and the hidden ones, asked for once: some INPUT_TYPES list all model folders.

    What such a list holds may change later, but the lists of _OF_THIS_SERVER are not compared here.
    """
    inputs = node.INPUT_TYPES()  # type: ignore[attr-defined]
    return {**inputs.get("required", {}), **inputs.get("optional", {})}, inputs.get("hidden", {})


def _checked(node: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, each value in the type of its kind. Raises ConfigurationError, MediaError."""
    shown_inputs, hidden = _declared(node)
    own = getattr(node, "VALIDATE_INPUTS", None)  # ComfyUI leaves the inputs that it names to it
    left_to_own = [name for name in inspect.signature(own).parameters if name in given] if own else []
    if own is not None:
        said = own(**{name: given[name] for name in left_to_own})
        if said is not True:
            raise ConfigurationError(said)
    found = dict(given)
    for name, value in given.items():
        if name in shown_inputs and name not in left_to_own:
            kind, *options = shown_inputs[name]
            found[name] = _value(name, value, kind, options[0] if options else {})
        elif name in left_to_own and name in _OF_THIS_SERVER:
            found[name] = _text(name, value, {})
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


def _text(name: str, value: Any, options: Mapping[str, Any]) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise _refusal(name, value, "text", "Type text, or wire a node that gives text.")
    most = options.get(CHARACTERS, MAX_CHARACTERS)
    if len(value) > most:
        said = f"{len(value):,} characters came, and it takes {most:,}"
        raise ConfigurationError(sentence("use this input", name, said, "Shorten the text."))
    return value


def _number(name: str, value: Any, options: Mapping[str, Any]) -> float:  # noqa: ANN401
    least, most = options.get("min", -math.inf), options.get("max", math.inf)
    advice = f"Give a number from {least} to {most}."
    if not isinstance(value, numbers.Real) or not least <= value <= most:  # false for NaN too
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
    if not is_image_tensor(value):
        shape = tuple(getattr(value, "shape", ()))
        came = f"values of {' x '.join(map(str, shape))}" if shape else shown(value)
        if 0 in shape:
            came = "an empty batch"
        said = f"{came} came, and it takes pictures: batch x height x width x channels"
        raise MediaError(sentence("use this input", name, said, "Wire a node that gives IMAGE."))
    return value


def _latent(name: str, value: Any, _options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if not isinstance(value, Mapping) or "samples" not in value:
        raise _refusal(name, value, "a latent", "Wire a node that gives LATENT.")
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
    "LATENT": _latent,
}


def _hidden(name: str, value: Any, kind: str) -> None:  # noqa: ANN401
    """Check what was queued together with the prompt; None where the node is called outside of a run."""
    takes = str if kind == "UNIQUE_ID" else Mapping
    if value is not None and not isinstance(value, takes):
        raise _refusal(name, value, "what ComfyUI gives", "Queue the workflow from ComfyUI's page.")


def _refusal(name: str, value: object, takes: str, advice: str) -> ConfigurationError:
    said = f"{shown(value)} came, and it takes {takes}"
    return ConfigurationError(sentence("use this input", name, said, advice))


def shown(value: object) -> str:
    """Describe a value for a message: its type, or the value itself where that is short."""
    kind = type(value).__name__
    if isinstance(value, str):
        return repr(value[:_SHOWN])
    if isinstance(value, int) and value.bit_length() > _SHOWN * 3:  # Python prints none of 4,301 digits
        return f"a huge {kind}"
    return repr(value) if isinstance(value, int | float) else f"a value of type {kind}"
