# The only task runner. Two commands do everything on a fresh machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help demo demo-kube test lint bench soak-lease soak-faults crds bpf manifests venv clean

PYTHON ?= python3
RUN := .venv/bin
# Options of the demo, such as DEMO_FLAGS="--law autorate --duration 3m": what `detnet lab run` and `detnet sim run` both take.
DEMO_FLAGS ?=
# What the loop reads. demo: stamp (unless given), scrape, prometheus. demo-kube: what the controller reads; by default it asks the agents.
SENSOR ?=
NO_LAB := 3# what detnet exits with where the machine lacks what a lab needs; it has said what, and what to do

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: .venv/.runtime ## Close the loop on real packets (90 s), or in a model where no lab can be; results in results/latest
	@$(RUN)/detnet lab run $(if $(SENSOR),--sensor $(SENSOR)) $(DEMO_FLAGS) || { code=$$?; [ $$code -eq $(NO_LAB) ] || exit $$code; \
	echo 'No namespaces here (why: see above). The same run from a model of the network instead: none of it is real packets.'; \
	$(RUN)/detnet sim run $(DEMO_FLAGS); }

demo-kube: .venv/.runtime ## The quick start on a fresh Kubernetes of its own, measured (root; the first time builds it: ten minutes)
	@$(RUN)/detnet lab run --engine kube $(if $(SENSOR),--sensor $(SENSOR)) $(DEMO_FLAGS)

test: .venv/.dev lint ## Lint, types, layers and every test
	@deploy/get-helm || echo 'The tests of the chart that need Helm are left out.'
	$(RUN)/pytest -n 2 $(PYTEST_FLAGS)

lint: .venv/.dev ## ruff, mypy --strict, import-linter
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

soak-lease: .venv/.dev ## Two replicas on one real Lease, fifty faults, a judge over the audit log (root; twenty minutes)
	$(RUN)/python -m bench.lease $(SOAK_FLAGS)

soak-faults: .venv/.dev ## Every fault that a cluster does to a controller, on a real API server (root; a quarter of an hour)
	$(RUN)/python -m bench.faults $(SOAK_FLAGS)

bench: .venv/.dev ## Benchmarks: cost of measuring and deciding
	$(RUN)/python -m bench

crds: .venv/.runtime ## Renew the CRD and its reference from the types
	$(RUN)/python -m detnet.policy.crd > deploy/chart/crds/qospolicies.yaml
	$(RUN)/python -m detnet.policy.docs > docs/qospolicy.md

bpf: ## Compile the eBPF programs anew (needs clang and libbpf's headers)
	scripts/bpf src/detnet/datapath/bpf/flows.c src/detnet/datapath/bpf/flows.o

venv: .venv/.runtime ## Only .venv with the detnet command

manifests: .venv/.runtime ## Renew the chart's values and the plain manifests (with the Helm of deploy/get-helm)
	$(RUN)/python -m deploy.values
	$(RUN)/python -m deploy.manifests

.venv/.runtime: pyproject.toml uv.lock scripts/venv
	scripts/venv "$(PYTHON)" --no-default-groups
	@touch $@

.venv/.dev: pyproject.toml uv.lock scripts/venv
	scripts/venv "$(PYTHON)" --group dev
	@touch $@ .venv/.runtime

clean: ## Remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
