# The front door: meson.build is the build description, nothing is named here.
# `make` builds and installs nothing; the other targets first install missing Debian packages
# (tools/deps says which) and nothing else.
BUILD ?= build
MESON_ARGS ?=

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)
$(BUILD)/build.ninja:
	@meson setup $(BUILD) $(MESON_ARGS) >/dev/null
demo:
	@tools/deps build
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)
check:
	@tools/deps build check
	@$(MAKE) --no-print-directory all
	@meson test -C $(BUILD) --print-errorlogs
bench:
	@tools/deps build bench
	@bench/run
asan tsan:
	@tools/deps build check
	@tools/sanitize $@
fuzz:
	@tools/deps build check
	@tools/fuzz
format:
	@tools/check-format --fix
install: all
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
.PHONY: all demo check bench asan tsan fuzz format install
