"""What a worker is sent to run a job."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from executor import json_text
from executor.jobs import Job
from executor.messages import Execute


async def execute_command(
    job: Job, secrets: Mapping[str, str], *, supports_preview_metadata: bool
) -> Execute:
    """The command to run a job; large graphs are decoded in a thread."""
    prompt, extra_data = await _decoded(job)
    return Execute(
        prompt_id=job.prompt_id,
        prompt=prompt,
        outputs=list(job.outputs_to_execute),
        extra_data=extra_data,
        client_id=job.client_id,
        secrets=dict(secrets),
        owner=job.owner,
        supports_preview_metadata=supports_preview_metadata,
    )


async def _decoded(job: Job) -> tuple[Any, Any]:
    if len(job.prompt) + len(job.extra_data) < json_text.LARGE:
        return json_text.decode(job.prompt), json_text.decode(job.extra_data)
    return await asyncio.to_thread(
        lambda: (json_text.decode_large(job.prompt), json_text.decode_large(job.extra_data))
    )
