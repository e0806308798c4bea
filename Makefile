# The front door; meson.build is the build description.
BUILD ?= build

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)
$(BUILD)/build.ninja:
	@meson setup $(BUILD) >/dev/null
check: all
	@meson test -C $(BUILD) --print-errorlogs
format:
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i
.PHONY: all check format
