# The two commands a newcomer needs are `make demo` and `make test`; both do all their own set-up.
# ARGS passes arguments through: make demo ARGS="--break no-drain".
.PHONY: help setup demo test check lint types arrows lock barbican adopt record-barbican clients openbao kmip corpus-status describe-api fuzz-kill fuzz-roll-back fuzz-schema fuzz-rpc fuzz-requests fuzz-keymanager clean
ARGS ?=
RUN = .venv/bin
# The tests start hundreds of processes: each would compile all that it imports anew where this is set, as in images.
export PYTHONDONTWRITEBYTECODE =

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## make .venv with the locked dependencies
	@sh tools/bootstrap.sh

demo: setup  ## roll a real fleet from 2026.2 over two releases to 2028.1 under load and print the verdict
	@$(RUN)/bascule demo $(ARGS)

test: check  ## everything CI runs
	$(RUN)/python -m pytest tests/architecture tests/unit tests/integration -n 3 --dist worksteal $(ARGS)
	$(RUN)/python -m pytest tests/upgrade -n 2 --dist worksteal $(ARGS)

check: lint types arrows  ## the fast static part

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: setup
	$(RUN)/mypy

arrows: setup
	$(RUN)/lint-imports

lock: setup  ## resolve requirements.lock again
	.tools/uv/bin/uv pip compile pyproject.toml services/keymanager/pyproject.toml --all-extras \
	    --group pyproject.toml:dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --no-emit-package bascule --no-header --quiet --upgrade -o requirements.lock

barbican: setup  ## roll real Barbican 14 to 15 under the same load (needs root, or Debian's servers installed)
	@$(RUN)/python examples/barbican/roll.py $(ARGS)

adopt: setup  ## roll real Barbican 23 to the key manager under load, back, and on (as `make barbican` needs)
	@$(RUN)/python examples/adoption/adopt.py $(ARGS)

record-barbican: setup  ## record real Barbican 23 with real Keystone anew into tests/data/barbican-23 (minutes)
	@PYTHONPATH=tests $(RUN)/python tools/record_barbican.py $(ARGS)

clients: setup  ## let Barbican's own clients ask real Barbican 23, with real Keystone, and ours, and compare (minutes)
	@PYTHONPATH=tests $(RUN)/python tools/run_clients.py $(ARGS)

openbao: setup  ## test vault_plugin on a real OpenBao, beside real Barbican 23 (minutes)
	@PYTHONPATH=tests $(RUN)/python tools/run_openbao.py $(ARGS)

kmip: setup  ## test kmip_plugin beside real Barbican 23's, on PyKMIP's server (minutes)
	@PYTHONPATH=tests $(RUN)/python tools/run_kmip.py $(ARGS)

corpus-status: setup  ## how many recorded pairs our key manager answers as Barbican does, per area
	@PYTHONPATH=tests $(RUN)/python tools/replay_barbican.py $(ARGS)

describe-api: setup  ## write the OpenAPI description of the key manager again
	@$(RUN)/python tools/describe_keymanager.py

fuzz-kill: setup  ## kill -9 of apply at 60 seeded instants over 8 upgrades under load
	BASCULE_ROUNDS=8 $(RUN)/python -m pytest tests/upgrade -k seeded_instants -rP $(ARGS)

fuzz-roll-back: setup  ## roll back from after every single step, under load
	BASCULE_EVERY_STEP=1 $(RUN)/python -m pytest tests/upgrade -k roll_back_after_every_step $(ARGS)

fuzz-schema: setup  ## 2,000 random histories of writers and schema engines for each database
	@PYTHONPATH=tests $(RUN)/python tests/fuzz/fuzz_schema.py $(ARGS)

fuzz-pins: setup  ## explore the pin's protocol for up to four processes of three releases, and real processes for long
	@PYTHONPATH=tests $(RUN)/python tests/fuzz/fuzz_pins.py $(ARGS)
	BASCULE_PIN_STEPS=200 $(RUN)/python -m pytest tests/integration/lifecycle/test_pins_of_processes.py -rP

fuzz-schema-kill: setup  ## kill -9 every schema phase at every single statement, on every database (hours)
	BASCULE_TEST_KILLS=0 $(RUN)/python -m pytest tests/unit/schema/test_killed_on_sqlite.py \
	    tests/integration/schema/test_schema_on_servers.py -k killed -n 2 -rP $(ARGS)
	BASCULE_TEST_KILLS=0 $(RUN)/python -m pytest tests/integration/schema/test_fence_put_back.py -n 2 $(ARGS)

fuzz-rpc: setup  ## stop servers and kill workers, relays and brokers under load, and count every cast
	@PYTHONPATH=tests $(RUN)/python tests/fuzz/fuzz_rpc.py $(ARGS)

fuzz-requests: setup  ## ask the key manager 20,000 made-up requests on each database, and read 2,000 made-up policy files
	BAD_REQUESTS=20000 POLICY_FILES=2000 $(RUN)/python -m pytest tests/unit/keymanager/test_keymanager_bad_requests.py \
	    tests/integration/keymanager/test_keymanager_bad_requests_on_servers.py \
	    tests/unit/keymanager/test_keymanager_policies.py -k "described or whatever" -n 2 $(ARGS)

fuzz-keymanager: setup  ## take every part of a loaded key manager away in turn, and read back what was acknowledged
	@PYTHONPATH=tests $(RUN)/python tests/fuzz/fuzz_keymanager.py $(ARGS)

bench-%: setup
	@$(RUN)/python benchmarks/$(subst -,_,$*).py $(ARGS)

clean:  ## remove what make set up
	rm -rf .venv .tools build dist
