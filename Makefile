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
	@tools/deps vm || true # without it those tests are skipped
	@$(MAKE) --no-print-directory all
	@meson test -C $(BUILD) --print-errorlogs
check-vm:
	@tools/deps build vm vm-build
	@$(MAKE) --no-print-directory all
	@tests/vm/kernel full
	@meson test -C $(BUILD) --print-errorlogs --setup vm --suite vm --suite vm-full
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
.PHONY: all demo check check-vm bench asan tsan fuzz format install
