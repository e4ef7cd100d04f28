# The image of controller, agent and sample workloads. BASE is a Debian (or like it) with python3 3.11 or newer, its venv module and
# ca-certificates; both stages need the same one, since the environment points at its interpreter.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
# The certificates that the base trusts, also for tools that bring their own.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /tmp/uv \
    && /tmp/uv/bin/pip install --no-cache-dir --disable-pip-version-check 'uv==0.13.9'
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/opt/detnet \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
# A cluster draws no plots: a quarter of the image, and code that nobody needs there.
ARG WITHOUT="--no-install-package=matplotlib --no-install-package=contourpy --no-install-package=fonttools \
    --no-install-package=kiwisolver --no-install-package=pillow"
# First what rarely changes, so that it is built once.
COPY pyproject.toml uv.lock ./
RUN /tmp/uv/bin/uv sync --locked --no-default-groups ${WITHOUT} --no-install-project
COPY LICENSE README.md ./
COPY src ./src
RUN /tmp/uv/bin/uv sync --locked --no-default-groups ${WITHOUT} --no-editable

FROM ${BASE}
COPY --from=build /opt/detnet /opt/detnet
ENV PATH=/opt/detnet/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that a kubelet can see that it is not root.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["detnet"]
