"""ComfyUI's folders without ComfyUI: for the command line, which neither starts it nor imports its code.

``install`` puts a module called ``folder_paths`` in the place of ComfyUI's, with as much of it as this
package uses. The folders are those of ComfyUI's options and of extra_model_paths.yaml.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigurationError, did_you_mean, disk_errors, sentence

PATHS_FILE = "extra_model_paths.yaml"
CUSTOM_NODES = "custom_nodes"

# ComfyUI's folder_paths.py, of core 0.3.64 and 0.33
_WEIGHTS = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})
_OTHER_FOLDERS = {  # of a type that is not in the folder of its own name alone
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "controlnet": ("controlnet", "t2i_adapter"),
}
_OTHER_EXTENSIONS = {
    "configs": frozenset({".yaml"}),
    "diffusers": frozenset({"folder"}),
    "classifiers": frozenset({""}),
}
_TYPES = (
    *("checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision"),
    *("style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models"),
    *("latent_upscale_models", "hypernetworks", "photomaker", "classifiers", "model_patches"),
    *("audio_encoders", "background_removal", "frame_interpolation", "geometry_estimation"),
    *("optical_flow", "detection"),
)
_LEGACY = {"unet": "diffusion_models", "clip": "text_encoders"}
# Types that packages of nodes make of other folders than their own. A machine that is set up before ComfyUI
# has run knows the packages only from workflows.
_GGUF = {"unet_gguf": "diffusion_models", "clip_gguf": "text_encoders"}  # city96/ComfyUI-GGUF, nodes.py
_ULTRALYTICS = ("bbox", "segm")  # ltdrdata/ComfyUI-Impact-Subpack, modules/subpack_nodes.py
_TYPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Options:
    """Where ComfyUI is, by its own options; None: by the folder that the package lies in."""

    comfyui: Path | None = None
    base_directory: Path | None = None
    models_directory: Path | None = None
    user_directory: Path | None = None
    output_directory: Path | None = None
    extra_model_paths_config: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Installation:
    """The folders of one ComfyUI. ``base`` is None if there is none: then only ``user`` is of use."""

    base: Path | None
    models: Path
    user: Path
    output: Path
    paths_files: tuple[Path, ...] = ()


def find(package: Path, options: Options) -> Installation:
    """Return the ComfyUI of these options, or the one whose custom_nodes has the folder ``package``.

    A link in custom_nodes to the package is as good. Raises ConfigurationError for an option that names no
    folder.
    """
    for folder in (options.comfyui, options.extra_model_paths_config and options.extra_model_paths_config[0]):
        if folder and not folder.exists():
            raise ConfigurationError(f"There is no {folder}. Check the path.")
    places = [Path(os.path.abspath(package)).parent, package.resolve().parent]  # noqa: PTH100  keeps links
    around = next((place.parent for place in places if place.name == CUSTOM_NODES), None)
    code = options.comfyui or around
    base = options.base_directory or code
    user = options.user_directory or (base / "user" if base else _user_settings())
    models = options.models_directory or (base / "models" if base else None)
    beside = code / PATHS_FILE if code else None
    files = (*((beside,) if beside and beside.is_file() else ()), *options.extra_model_paths_config)
    base = base or (models.parent if models else None)
    nowhere = Path()
    return Installation(
        base,
        models or nowhere,
        user,
        options.output_directory or (base / "output" if base else nowhere),
        files,
    )


def _user_settings() -> Path:
    """Return where this user's settings are on a machine without ComfyUI."""
    home = os.environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME", "")
    return (Path(home) if home else Path.home() / ".config") / "comfyui-cloud-storage"


def install(installation: Installation) -> None:
    """Let the package use these folders. Raises ConfigurationError for a file that cannot be read."""
    sys.modules["folder_paths"] = _folder_paths(installation)


def add_type(name: str) -> None:
    """Make a folder below models a type, as packages of nodes do, unless there is such a type.

    Raises ConfigurationError for a name that is none, or that is probably a misspelled one.
    """
    import folder_paths

    known = folder_paths.folder_names_and_paths
    if folder_paths.map_legacy(name) in known:
        return
    hint = did_you_mean(name, known)
    if hint or not _TYPE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"There is no type of models called {name!r}.{hint} Known: {', '.join(known)}."
        )
    known[name] = ([os.path.join(folder_paths.models_dir, name)], set())  # noqa: PTH118  as ComfyUI's


def _folder_paths(installation: Installation) -> ModuleType:
    module: Any = ModuleType("folder_paths")
    base, models = installation.base, installation.models
    folders: dict[str, tuple[list[str], Iterable[str]]] = {}
    if base:
        for name in _TYPES:
            places = _OTHER_FOLDERS.get(name, (name,))
            folders[name] = ([str(models / place) for place in places], _OTHER_EXTENSIONS.get(name, _WEIGHTS))
        folders[CUSTOM_NODES] = ([str(base / CUSTOM_NODES)], set())
        folders["datasets"] = ([str(base / "datasets")], set())
        for name, core_type in _GGUF.items():
            folders[name] = (folders[core_type][0], {".gguf"})
        for part in _ULTRALYTICS:
            folders[f"ultralytics_{part}"] = ([str(models / "ultralytics" / part)], _WEIGHTS)
    module.base_path = str(base or "")
    module.models_dir = str(models)
    module.supported_pt_extensions = set(_WEIGHTS)
    module.folder_names_and_paths = folders
    module.get_user_directory = lambda: str(installation.user)
    module.get_output_directory = lambda: str(installation.output)
    module.get_input_directory = lambda: str((base or Path()) / "input")
    module.get_temp_directory = lambda: str((base or Path()) / "temp")
    module.map_legacy = lambda name: _LEGACY.get(name, name)
    module.get_folder_paths = lambda name: list(folders[module.map_legacy(name)][0])
    module.get_filename_list = lambda name: _names(*folders[module.map_legacy(name)])
    module.get_full_path = lambda name, file: _full_path(
        folders.get(module.map_legacy(name), ([], ()))[0], file
    )
    for file in installation.paths_files:
        _add_paths(folders, file)
    _add_other_folders(folders, models, base)
    return module  # type: ignore[no-any-return]


def _add_other_folders(folders: dict[str, Any], models: Path, base: Path | None) -> None:
    """Make each further folder below models a type: packages of nodes have registered them."""
    used = {Path(path).name for paths, _ in folders.values() for path in paths}
    if base and models.is_dir():
        for folder in sorted(models.iterdir()):
            if folder.name not in used and folder.is_dir() and _TYPE_NAME.fullmatch(folder.name):
                folders[folder.name] = ([str(folder)], set())


def _names(places: list[str], extensions: Iterable[str]) -> list[str]:
    """As ``get_filename_list``: sorted, each name once, with the system's separator."""
    allowed = set(extensions)
    found: set[str] = set()
    for place in places:
        for folder, subfolders, files in os.walk(place, followlinks=True):
            subfolders[:] = [name for name in subfolders if name != ".git"]
            found.update(os.path.relpath(Path(folder, name), place) for name in files)
    return sorted(name for name in found if not allowed or Path(name).suffix.lower() in allowed)


def _full_path(places: list[str], name: str) -> str | None:
    inside = os.path.relpath(Path("/", name), "/")
    paths = (Path(place, inside) for place in places)
    return next((str(path) for path in paths if path.is_file()), None)


# ------------------------------------------------------------ extra_model_paths.yaml


def _add_paths(folders: dict[str, tuple[list[str], Iterable[str]]], file: Path) -> None:
    """Add the folders of one file, as ComfyUI's utils/extra_config.py does."""
    for section in _read(file).values():
        entries = dict(section or {})
        base = entries.pop("base_path", None)
        is_default = entries.pop("is_default", False)
        above = Path(os.path.abspath(file)).parent  # noqa: PTH100  as ComfyUI: it keeps links
        if base:
            above /= os.path.expandvars(os.path.expanduser(str(base)))  # noqa: PTH111
        for name, text in entries.items():
            known = folders.setdefault(_LEGACY.get(str(name), str(name)), ([], set()))[0]
            for line in filter(None, str(text).split("\n")):
                path = os.path.normpath(above / line)
                if path in known and is_default:
                    known.remove(path)
                if path not in known:
                    known.insert(0 if is_default else len(known), path)


def _read(file: Path) -> dict[str, Any]:
    with disk_errors("read the folders of models", file, "Check the path of the file."):
        text = file.read_text(encoding="utf-8-sig")
    tried = "read the folders of models"
    try:
        import yaml  # ComfyUI's Python has it
    except ImportError:
        try:
            return _simple_yaml(text)
        except ValueError as error:
            advice = "Run `pip install pyyaml`, which reads every YAML."
            raise ConfigurationError(sentence(tried, file.name, str(error), advice)) from error
    try:
        found = yaml.safe_load(text) or {}
        if all(isinstance(section, dict | None) for section in found.values()):
            return dict(found)
        said = "a section is not a list of folders by their types"
    except (yaml.YAMLError, AttributeError) as error:
        said = " ".join(str(error).split())
    raise ConfigurationError(sentence(tried, file.name, said, "Write it as ComfyUI's example is written."))


_LINE = re.compile(r"(?P<indent> *)(?P<name>[^\s#:'\"\[\]{}&*!|>-][^#:]*?):(?:\s+(?P<value>.*))?")
_BLOCK = ("|", "|-", "|+")


def _simple_yaml(text: str) -> dict[str, Any]:
    """Read YAML of the form that ComfyUI's example has: sections of names with a text, or lines after "|".

    Raises ValueError for other forms.
    """
    found: dict[str, Any] = {}
    section: dict[str, Any] = {}
    block, inner = "", 0  # the name whose lines follow, and their indentation
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip()
        indent = len(line) - len(line.lstrip(" "))
        if block and (not line or indent > inner):
            section[block] += f"{line.strip()}\n" if line else ""
            continue
        block = ""
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = _scalar(match["value"] or "") if match else None
        if match is None or value is None or (indent and not found):
            raise ValueError(f"line {number} has a form that is not understood without PyYAML")
        if not indent:
            if value:
                raise ValueError(f"line {number} has a form that is not understood without PyYAML")
            section = found[match["name"]] = {}
        elif value in _BLOCK:
            block, inner = match["name"], indent
            section[block] = ""
        else:
            section[match["name"]] = value == "true" if match["name"] == "is_default" else value
    return found


def _scalar(text: str) -> str | None:
    """Return the value of a plain or quoted text; None for another form."""
    quoted = re.fullmatch(r"'([^']*)'(?:\s+#.*)?|\"([^\"\\]*)\"(?:\s+#.*)?", text)
    if quoted:
        return quoted[1] if quoted[1] is not None else quoted[2]
    plain = re.sub(r"(^|\s+)#.*$", "", text).strip()
    return None if plain[:1] in tuple("'\"[]{}&*!>%@`") and plain else plain
