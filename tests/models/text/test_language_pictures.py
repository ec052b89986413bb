"""What language models see and write of pictures is what transformers' models do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.errors import InvalidInput
from models.families.language import qwen_pictures
from models.families.language.qwen2_5_vl import EYES
from models.families.language.qwen3_vl import EYES as QWEN3_VL
from models.families.language.qwen3_vl import RETINA as QWEN3_VL_RETINA
from models.memory import Policy
from models.text.chunks import Picture, Token
from models.text.language.asking import Question
from models.text.language.generation import Writing, write
from tests.models.text import language_models as tiny

FRAME = qwen_pictures.IMAGE_FRAME


def drawing(height: int, width: int, frames: int = 1, seed: int = 0) -> Tensor:
    """A smooth picture of whole 255ths, so that files could hold it."""
    small = torch.rand(frames, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return (large.movedim(1, -1) * 255).round() / 255


def in_file(frame: Tensor) -> Image.Image:
    return Image.fromarray((frame * 255).round().to(torch.uint8).numpy())


@pytest.mark.parametrize(("height", "width"), [(84, 112), (100, 75), (20, 30), (1500, 1200)])
def test_patches_are_those_of_transformers_processor(height: int, width: int) -> None:
    from transformers import Qwen2VLImageProcessor

    frame = drawing(height, width)
    sizes = {"shortest_edge": 4 * 28 * 28, "longest_edge": 16_384 * 28 * 28}
    expected = Qwen2VLImageProcessor(size=sizes)(images=[in_file(frame[0])], return_tensors="pt")
    patches, grid = tiny.RETINA.patches(Picture(frames=frame))
    assert list(grid) == expected["image_grid_thw"][0].tolist()
    # The processor rounds pixels to whole 255ths, and integers to others.
    torch.testing.assert_close(patches, expected["pixel_values"], atol=0.03, rtol=0.0)


def test_a_line_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too long"):
        tiny.RETINA.patches(Picture(frames=torch.zeros(1, 2, 600, 3)))


class Asked:
    """A model of transformers and ours, with the same pictures in the same text."""

    def __init__(self, model: Any, path: Path, policy: Policy, question: Question) -> None:
        self.model, self.policy = model, policy
        file = tiny.write(path / "model.safetensors", tiny.tensors_of(model))
        self.encoder = tiny.encoder_of(tiny.loaded("ltxv", file, policy))
        text, pictures = self.encoder.tokenizer.introduced(question.prompt, question.pictures)
        self.tokens = self.encoder.tokenizer.tokens(text, pictures)

    def ours(self, most: int) -> list[int]:
        """What our loop writes."""
        return write(self.encoder, self.tokens, Writing(most=most), self.policy)

    def theirs(self, most: int, **inputs: Any) -> list[int]:
        """What transformers writes."""
        made = self.model.generate(**inputs, max_new_tokens=most, do_sample=False)
        found: list[int] = made[0, inputs["input_ids"].shape[1] :].tolist()
        return found

    def states(self) -> Tensor:
        """Our hidden states after the last norm."""
        return self.encoder.states(self.tokens, self.policy)[-1]


def qwen_inputs(
    asked: Asked, patches: list[Tensor], grids: list[tuple[int, int, int]], kind: str = "image"
) -> dict[str, Any]:
    """The arguments of transformers' Qwen models for a text in which pictures stand in order."""
    mark = {"image": 151655, "video": 151656}[kind]
    waiting = iter(grids)
    ids: list[int] = []
    for token in asked.tokens:
        if token.picture is not None:
            ids += [mark] * (int(np.prod(next(waiting))) // 4)
        else:
            ids.append(int(token.value))
    found = torch.tensor([ids])
    names = {"image": "pixel_values", "video": "pixel_values_videos"}
    return {
        "input_ids": found,
        "mm_token_type_ids": (found == mark).int() * {"image": 1, "video": 2}[kind],
        names[kind]: torch.cat(patches),
        f"{kind}_grid_thw": torch.tensor(grids),
    }


def test_qwen2_5_vl_writes_of_two_pictures(tmp_path: Path, policy: Policy) -> None:
    pictures = [Picture(frames=drawing(84, 140)), Picture(frames=drawing(56, 56, seed=1))]
    question = Question(prompt=f"a {FRAME} b", pictures=pictures)
    asked = Asked(tiny.qwen2_5_vl(), tmp_path, policy, question)
    patches, grids = zip(*(tiny.RETINA.patches(picture) for picture in pictures), strict=True)
    inputs = qwen_inputs(asked, list(patches), list(grids))
    expected = asked.model.model(**inputs).last_hidden_state
    torch.testing.assert_close(asked.states(), expected, atol=2e-5, rtol=1e-4)
    assert asked.ours(6) == asked.theirs(6, **inputs)


def test_qwen2_5_vl_writes_of_a_film(tmp_path: Path, policy: Policy) -> None:
    film = Picture(frames=drawing(56, 84, frames=60), is_video=True)
    asked = Asked(tiny.qwen2_5_vl(), tmp_path, policy, Question(prompt="a", pictures=[film]))
    ((_, seen),) = EYES.introduce(film)
    assert len(seen.frames) == 5  # two a second of 24 frames
    patches, grid = tiny.RETINA.patches(seen)
    assert grid[0] == 3
    inputs = qwen_inputs(asked, [patches], [grid], "video")
    inputs["second_per_grid_ts"] = torch.tensor([1.0])
    expected = asked.model.model(**inputs).last_hidden_state
    torch.testing.assert_close(asked.states(), expected, atol=2e-5, rtol=1e-4)


def test_qwen3_vl_writes_of_two_pictures(tmp_path: Path, policy: Policy) -> None:
    pictures = [Picture(frames=drawing(256, 320)), Picture(frames=drawing(288, 256, seed=1))]
    question = Question(prompt=f"a {FRAME} b", pictures=pictures)
    asked = Asked(tiny.qwen3_vl(), tmp_path, policy, question)
    patches, grids = zip(*(QWEN3_VL_RETINA.patches(p) for p in pictures), strict=True)
    inputs = qwen_inputs(asked, list(patches), list(grids))
    expected = asked.model.model(**inputs).last_hidden_state
    torch.testing.assert_close(asked.states(), expected, atol=2e-5, rtol=1e-4)
    assert asked.ours(6) == asked.theirs(6, **inputs)


def test_qwen3_5_writes_of_a_picture(tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen3_5()
    path = tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(model))
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    picture = Picture(frames=drawing(256, 320))
    tokens = [Token(9), Token(0, picture=picture), Token(17), Token(3)]
    patches, grid = QWEN3_VL_RETINA.patches(picture)
    ids = torch.tensor([[9, *[499] * (int(np.prod(grid)) // 4), 17, 3]])
    inputs = {
        "input_ids": ids,
        "mm_token_type_ids": (ids == 499).int(),
        "pixel_values": patches,
        "image_grid_thw": torch.tensor([grid]),
    }
    expected = model.model(**inputs).last_hidden_state
    states = encoder.states(tokens, policy)[-1]
    torch.testing.assert_close(states, expected, atol=2e-5, rtol=1e-4)
    written = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
    assert write(encoder, tokens, Writing(most=6), policy) == written.tolist()


def test_qwen3_vl_sees_films_as_frames_with_seconds(tmp_path: Path, policy: Policy) -> None:
    film = Picture(frames=drawing(384, 352, frames=60), is_video=True)
    asked = Asked(tiny.qwen3_vl(), tmp_path, policy, Question(prompt="a", pictures=[film]))
    shown = QWEN3_VL.introduce(film)
    # Frames 0, 15, 30, 44, 59 of 24 a second; the last one twice.
    assert [text.partition(">")[0] for text, _ in shown] == [
        "<0.3 seconds",
        "<1.5 seconds",
        "<2.5 seconds",
    ]
    found = [QWEN3_VL_RETINA.patches(pair) for _, pair in shown]
    assert {grid[0] for _, grid in found} == {1}
    inputs = qwen_inputs(asked, [patches for patches, _ in found], [grid for _, grid in found])
    inputs["pixel_values_videos"] = inputs.pop("pixel_values")
    times, rows, columns = found[0][1]
    inputs.pop("image_grid_thw")
    inputs["video_grid_thw"] = torch.tensor([[3 * times, rows, columns]])
    inputs["mm_token_type_ids"] = inputs["mm_token_type_ids"] * 2
    inputs["input_ids"][inputs["input_ids"] == 151655] = 151656
    expected = asked.model.model(**inputs).last_hidden_state
    torch.testing.assert_close(asked.states(), expected, atol=2e-5, rtol=1e-4)


def test_gemma3_writes_of_two_pictures(tmp_path: Path, policy: Policy) -> None:
    pictures = [Picture(frames=drawing(64, 64)), Picture(frames=drawing(64, 64, seed=1))]
    model = tiny.gemma3_that_sees()
    pieces = tiny.gemma_pieces(tmp_path / "pieces")
    path = tiny.write(
        tmp_path / "gemma.safetensors", tiny.tensors_of(model) | {"spiece_model": pieces}
    )
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    text, shown = encoder.tokenizer.introduced("the cat", pictures)
    assert text.startswith("\n\n<start_of_image>")
    tokens = encoder.tokenizer.tokens(text, shown)
    mark = tiny.GEMMA_TOKENS - 1
    ids: list[int] = []
    for token in tokens:
        ids += [mark] * 256 if token.picture is not None else [int(token.value)]
    found = torch.tensor([ids])
    inputs = {
        "input_ids": found,
        "token_type_ids": (found == mark).int(),
        "pixel_values": torch.cat([p.frames for p in pictures]).movedim(-1, 1) * 2 - 1,
    }
    expected = model.model(**inputs).last_hidden_state
    states = encoder.states(tokens, policy)[-1]
    torch.testing.assert_close(states, expected, atol=2e-5, rtol=1e-4)
    written = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, len(ids) :]
    assert write(encoder, tokens, Writing(most=6), policy) == written.tolist()


def test_a_model_without_eyes_in_its_file_says_so(tmp_path: Path, policy: Policy) -> None:
    tensors = tiny.tensors_of(tiny.qwen2_5_vl())
    blind = {name: tensor for name, tensor in tensors.items() if "visual" not in name}
    encoder = tiny.encoder_of(
        tiny.loaded("ltxv", tiny.write(tmp_path / "m.safetensors", blind), policy)
    )
    text, shown = encoder.tokenizer.introduced("a", [Picture(frames=drawing(56, 56))])
    tokens = encoder.tokenizer.tokens(text, shown)
    with pytest.raises(InvalidInput, match="lacks what would let it see"):
        write(encoder, tokens, Writing(most=1), policy)


_EDIT = "<|im_start|>system\nDescribe.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n"


def test_packs_tokenize_pictures_in_templates_of_theirs(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "m.safetensors", tiny.tensors_of(tiny.qwen2_5_vl()))
    handle = tiny.loaded("qwen_image", path, policy)
    picture = drawing(56, 84)
    tokens = handle.tokenize(f"on {FRAME} it", images=[picture], llama_template=_EDIT)
    cond, pooled = handle.encode_from_tokens(tokens, return_pooled=True)
    encoder = tiny.encoder_of(handle)
    chunk = encoder.tokenizer.tokens(_EDIT.format(f"on {FRAME} it"), [Picture(frames=picture)])
    # What comes before the user's words is left out.
    begin = [token.value for token in chunk].index(872) + 2
    torch.testing.assert_close(cond, encoder.states(chunk, policy)[-1][:, begin:])
    assert pooled is None
    before = handle.tokenize("on it", images=[picture], llama_template=_EDIT)
    (pairs,) = before["qwen2_5_vl"]
    values = [value for value, _ in pairs]
    place = next(i for i, value in enumerate(values) if isinstance(value, Picture))
    assert values[place - 3 : place + 2] == [872, 198, 151652, values[place], 151653]
