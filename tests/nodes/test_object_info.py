"""Every class that we offer is described to clients as the reference describes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.worker.describe import describe
from nodes.registry import DISPLAY_NAMES, NODE_CLASSES
from tests.nodes.newer import (
    ADDED_CHOICES,
    ADDED_INPUTS,
    ADDED_OPTIONS,
    ADDED_OUTPUTS,
    ADDED_TO_OPTIONS,
    CHANGED_INPUTS,
    CLASSES,
    INTERNAL,
    OF_PACKS,
    OPTIONAL_NOW,
    notation,
)

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "reference" / "object_info.json").read_text()
)

# ComfyUI brings it along as a node pack, which the recorded server did without.
REFERENCE["SaveImageWebsocket"] = {
    "input": {"required": {"images": ["IMAGE"]}},
    "input_order": {"required": ["images"]},
    "output": [],
    "output_is_list": [],
    "output_name": [],
    "name": "SaveImageWebsocket",
    "display_name": "SaveImageWebsocket",
    "python_module": "custom_nodes.websocket_image_save",
    "category": "api/image",
    "output_node": True,
}

# An integer that does not cross to the server as one; clients read it as this number anyway.
REFERENCE["TrimAudioDuration"]["input"]["required"]["start_index"][1]["min"] = -(2.0**64)

# The recorded server had a folder in its input folder.
for _name in ("LoadImageDataSetFromFolder", "LoadImageTextDataSetFromFolder"):
    REFERENCE[_name]["input"]["required"]["folder"][1]["options"] = []


def _described(name: str) -> dict[str, Any]:
    definition = describe(name, NODE_CLASSES[name], DISPLAY_NAMES[name])
    info: dict[str, Any] = json.loads(msgspec.json.encode(definition.info))
    return info


for _name, _added in ADDED_INPUTS.items():
    for _key, _spec in _added.items():
        REFERENCE[_name]["input"].setdefault("optional", {})[_key] = _spec
        REFERENCE[_name]["input_order"].setdefault("optional", []).append(_key)


for _name, _changed in CHANGED_INPUTS.items():
    REFERENCE[_name]["input"]["required"].update(_changed)

for _name, _now in OPTIONAL_NOW.items():
    for _key in _now:
        _spec = REFERENCE[_name]["input"]["required"].pop(_key)
        REFERENCE[_name]["input"].setdefault("optional", {})[_key] = _spec
        REFERENCE[_name]["input_order"]["required"].remove(_key)
        REFERENCE[_name]["input_order"].setdefault("optional", []).append(_key)

for _name, _choices in ADDED_CHOICES.items():
    for _key, _more in _choices.items():
        _spec = REFERENCE[_name]["input"]["required"][_key]
        (_spec[0] if isinstance(_spec[0], list) else _spec[1]["options"]).extend(_more)


RECORDED = [name for name in NODE_CLASSES if name not in {*CLASSES, *INTERNAL, *OF_PACKS}]


@pytest.mark.parametrize("name", RECORDED)
def test_a_class_is_described_to_the_letter(name: str) -> None:
    info, expected = _described(name), json.loads(json.dumps(REFERENCE[name]))
    for output, kind in ADDED_OUTPUTS.get(name, {}).items():
        expected["output_name"].append(output)
        expected["output"].append(kind)
        expected["output_is_list"].append(False)
    for choice, added in ADDED_TO_OPTIONS.get(name, {}).items():
        for option in expected["input"]["required"][choice][1]["options"]:
            option["inputs"]["required"].update(added.get(option["key"], {}))
    for choice, options in ADDED_OPTIONS.get(name, {}).items():
        expected["input"]["required"][choice][1]["options"].extend(options)
    if "output_matchtypes" in expected:  # the record is without texts
        assert info.pop("output_tooltips") == [None] * len(expected["output"])
    assert info.pop("description") == ""
    assert info == expected


@pytest.mark.parametrize("name", [name for name in CLASSES if name in NODE_CLASSES])
def test_a_class_of_a_later_release_is_described_as_documented(name: str) -> None:
    assert notation(_described(name)) == CLASSES[name]


@pytest.mark.parametrize("name", sorted(INTERNAL))
def test_classes_of_running_graphs_are_kept_from_who_makes_graphs(name: str) -> None:
    assert _described(name)["dev_only"] is True


@pytest.mark.parametrize("name", RECORDED)
def test_the_inputs_of_a_class_come_in_the_documented_order(name: str) -> None:
    info = _described(name)
    for section, names in REFERENCE[name]["input_order"].items():
        assert list(info["input"][section]) == names


def test_the_sections_of_the_inputs_come_as_the_class_declares_them() -> None:
    assert list(_described("SaveImage")["input"]) == ["required", "hidden"]


def test_file_inputs_name_their_source_and_keep_choices_that_are_no_files() -> None:
    definition = describe("VAELoader", NODE_CLASSES["VAELoader"], "Load VAE")
    assert definition.file_options == {"vae_name": "vaes"}
    assert definition.info["input"]["required"]["vae_name"][0] == ["pixel_space"]


def test_a_check_of_a_class_is_published_with_the_arguments_it_names() -> None:
    check = describe("LoadImage", NODE_CLASSES["LoadImage"], "Load Image").check
    assert check is not None
    assert (check.arguments, check.takes_all) == (["image"], False)
