"""Client libraries that we did not write do with Darkroom what they do with ComfyUI."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.clients.conftest import COLOUR, STEPS
from tests.clients.drivers import DRIVERS, Driver, able_to
from tests.conftest import ServerProcess

pytestmark = pytest.mark.clients

ResultOf = Callable[[Driver], dict[str, Any]]


def each(drivers: list[Driver]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("driver", drivers, ids=str)


@each(list(DRIVERS))
def test_a_workflow_is_queued_and_its_picture_fetched(driver: Driver, result_of: ResultOf) -> None:
    picture = Image.open(io.BytesIO(base64.b64decode(result_of(driver)["picture"])))
    assert picture.format == "PNG"
    assert picture.size == (128, 128)
    red, _, blue = picture.convert("RGB").getpixel((3, 3))  # type: ignore[misc]
    assert blue > red + 30  # the background is to be sky blue


@each(list(DRIVERS))
def test_a_workflow_whose_results_are_known_gives_them_again(
    driver: Driver, result_of: ResultOf
) -> None:
    assert result_of(driver)["repeated"].endswith(".png")


@each(able_to("progress"))
def test_progress_is_followed(driver: Driver, result_of: ResultOf) -> None:
    seen = result_of(driver)["progress"]
    # On a busy machine steps are told together, and a library that listens only after the answer
    # may miss the first ones.
    assert len(seen) >= STEPS // 2
    assert seen == sorted(seen)
    assert {step for step, _ in seen} <= {*range(1, STEPS + 1)}
    assert {steps for _, steps in seen} == {STEPS}


@each(able_to("tiny"))
def test_jobs_of_a_few_milliseconds_are_not_missed(driver: Driver, result_of: ResultOf) -> None:
    assert result_of(driver)["tiny"] == [True] * 6


@each(able_to("uploaded"))
def test_an_image_is_uploaded(
    driver: Driver, result_of: ResultOf, clients_server: ServerProcess
) -> None:
    sent = result_of(driver)["uploaded"]
    entry = {"filename": sent["name"], "subfolder": sent["subfolder"], "type": sent["type"]}
    stored = Image.open(io.BytesIO(clients_server.client.view(entry)))
    assert (stored.size, stored.getpixel((0, 0))) == ((40, 30), COLOUR)


@each(able_to("shown"))
def test_an_uploaded_image_is_used_in_a_workflow(driver: Driver, result_of: ResultOf) -> None:
    assert result_of(driver)["shown"] == [40, 30, *COLOUR]


@each(able_to("written"))
def test_a_workflow_that_was_written_as_code_runs(driver: Driver, result_of: ResultOf) -> None:
    assert result_of(driver)["written"].startswith("written_")


@each(able_to("cancelled"))
def test_a_running_job_is_cancelled(
    driver: Driver, result_of: ResultOf, clients_server: ServerProcess
) -> None:
    cancelled = result_of(driver)["cancelled"]
    assert "interrupted" in cancelled["saw"].lower()
    entry = clients_server.client.history(cancelled["id"])
    assert entry is not None
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"
    assert not clients_server.client.get("/queue").json()["queue_running"]


@each(list(DRIVERS))
def test_a_refused_workflow_is_reported(driver: Driver, result_of: ResultOf) -> None:
    refusal = result_of(driver)["refusal"]
    assert "value_not_in_list" in refusal or "400" in refusal


@each(able_to("models"))
def test_models_are_listed(driver: Driver, result_of: ResultOf) -> None:
    assert result_of(driver)["models"] == ["darkroom_starter.safetensors"]
