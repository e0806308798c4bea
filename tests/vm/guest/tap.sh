# What the guest's tests are written in (busybox sh): check, skip, need.
failed=0

# check NAME COMMAND...: passes if COMMAND (shell text) succeeds; what it printed is shown if not.
check() {
	name=$1
	shift
	begin=$(cut -d' ' -f1 /proc/uptime)
	if (eval "$*") >/tmp/said 2>&1; then
		[ -z "$CAIRN_VM_TIMES" ] || echo "# $begin to $(cut -d' ' -f1 /proc/uptime)"
		echo "ok - $name"
	else
		tail -n 25 /tmp/said | sed 's/^/# /'
		echo "not ok - $name"
		failed=1
	fi
}

skip() { # skip NAME REASON
	echo "ok - $1 # SKIP $2"
}

has_tracer() {
	grep -qw "$1" $T/available_tracers
}

# holds FILE PATTERN...: each extended regular expression matches a line of FILE.
holds() {
	file=$1
	shift
	for pattern; do
		grep -Eq -- "$pattern" "$file" || { echo "no line matches $pattern in:"; head -n 15 "$file"; return 1; }
	done
}

lacks() { # lacks FILE PATTERN
	! grep -E -- "$2" "$1"
}

finish() {
	exit $failed
}
