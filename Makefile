# The words of the project; all the work is in dev.py. Arguments: make test ARGS="-k quota"
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null && echo $$p && break; done)
ARGS ?=

.PHONY: run test check fix bench chaos eval-builtin lock
run test check fix bench chaos eval-builtin lock:
	@test -n "$(PYTHON)" || { echo "Moqi needs Python 3.11 or newer. Debian/Ubuntu: sudo apt install python3 python3-venv"; exit 1; }
	@exec "$(PYTHON)" dev.py $@ $(ARGS)
