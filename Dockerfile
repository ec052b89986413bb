# PyTorch's wheels carry the CUDA libraries they need; the base brings the runtime and the driver's hooks.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04

# libegl1, libgl1 and libgl1-mesa-dri: OpenGL in software, for the node GLSLShader.
# Unpinned: a rebuild shall take the distribution's security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        python3 python3-venv libegl1 libgl1 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 darkroom \
    && install --directory --owner=darkroom --group=darkroom \
        /data /data/models /data/input /data/output /data/user

COPY . /opt/darkroom
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir "/opt/darkroom[gl,meshes]"

USER 10001
# With these, nothing is written but in the volumes and in /tmp: the root may be read-only.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    DARKROOM_BASE_DIRECTORY=/data DARKROOM_TEMP_DIRECTORY=/tmp

# user/ holds the job database and the API keys: without it a new container forgets its queue.
VOLUME ["/data/models", "/data/input", "/data/output", "/data/user"]
EXPOSE 8188
# /features needs no key.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8188/features', timeout=4)"]

ENTRYPOINT ["darkroom"]
# Others can reach it: it needs a key, or --allow-anonymous (docs/container.md).
CMD ["serve", "--listen", "0.0.0.0", "--port", "8188"]
