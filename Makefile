# `make demo` and `make test` set up everything they need: Python 3.11 and make are enough.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS ?=

# $(call pytest,how the first time,which tests). What failed is run once more, alone and for all to see: a fault of the
# code fails twice, a test that only ran out of breath beside others is told by the two reports.
SIDE_BY_SIDE := -n logical --maxprocesses 8
pytest = $(BIN)/python -m pytest $(1) $(2) $(ARGS) || \
  { echo "== some failed; these once more, alone"; $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(2) $(ARGS); }

.PHONY: demo up test test-servers test-faults test-cut pictures soak messages lint types check constraints clean

demo: $(VENV)/.run
	$(BIN)/python manage.py up --demo $(ARGS)

up: $(VENV)/.run
	$(BIN)/python manage.py up $(ARGS)

test: export DATA_DIR = $(CURDIR)/test-output/data
test: $(VENV)/.test
	deploy/system-packages chromium curl jq redis-server
	$(call pytest,$(SIDE_BY_SIDE),-m "not end_to_end and not browser")
	$(call pytest,,-m "end_to_end or browser")

# The same on servers: DATABASE_URL and REDIS_URL name them. What drives a browser or a whole platform brings its own; what the
# database has no part in (marker `once`) is left to `test`.
test-servers: $(VENV)/.test
	$(call pytest,$(SIDE_BY_SIDE),training platform_site observability -m "not browser and not end_to_end and not once")
	$(MAKE) test-faults

# Real processes, killed, cut off and restarted, on SQLite or on the servers of DATABASE_URL and REDIS_URL; heartbeats of a second.
test-faults: $(VENV)/.test
	deploy/system-packages redis-server
	$(call pytest,,platform_site/tests/test_faults*.py)

# A run of 60 s at 10 points a second, watched in a browser whose network is cut for 20 s in the middle; pictures and the count.
test-cut: $(VENV)/.test
	deploy/system-packages chromium
	CUT_SECONDS="20 20 20" $(BIN)/python -m pytest training/tests/test_browser_cut.py $(ARGS)
	cat test-output/cut/count.txt

# The pictures of the documentation, taken anew of every main page with the data of the tests.
pictures: $(VENV)/.test
	deploy/system-packages chromium
	PICTURES=$(CURDIR)/docs/images $(BIN)/python -m pytest training/tests/test_browser_every_page.py -k kept_out $(ARGS)

# The full soak: 20 trainers, 50 open pages, ten minutes of random kills of web, worker and Redis; it prints the count.
soak: $(VENV)/.test
	deploy/system-packages redis-server
	$(BIN)/python manage.py benchmark soak --minutes 10 --trainers 20 --rate 10 --pages 50 $(ARGS)

# Gathers every sentence for people into the catalogs of each language, and compiles them; both are committed.
messages: $(VENV)/.run
	deploy/system-packages gettext
	$(BIN)/python manage.py messages $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint templates --lint --quiet

types: $(VENV)/.test
	$(BIN)/mypy .

check: lint types
	$(BIN)/python manage.py makemigrations --check --dry-run

REQUIREMENTS := requirements.txt deploy/requirements-web.txt deploy/requirements-delivery.txt deploy/requirements-kubernetes.txt deploy/constraints.txt trainers/ultralytics/requirements.txt

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is needed; name another with make PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# OpenCV's plain build needs the system's OpenGL; its headless build, in its place, needs nothing.
$(VENV)/.run: $(BIN)/python $(REQUIREMENTS)
	@echo "Installing what the platform needs (some minutes, the first time only) …"
	$(PIP) -r requirements.txt
	$(PIP) --force-reinstall --no-deps -c deploy/constraints.txt opencv-python-headless
	@touch $@

$(VENV)/.test: $(VENV)/.run deploy/requirements-test.txt
	$(PIP) -r deploy/requirements-test.txt
	@touch $@

constraints: $(VENV)/.test
	@{ echo '# The exact version of every package that any requirements file pulls in; made by `make constraints`.'; \
	  $(BIN)/python -m pip freeze; } > deploy/constraints.txt

clean:
	rm -rf $(VENV) data staticfiles test-output
