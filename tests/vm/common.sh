# Sourced by the scripts beside it. All that is downloaded or built lies in $CAIRN_VM_CACHE (default
# ~/.cache/cairn-vm), nothing of it in the tree:
#   deb/            packages as downloaded
#   NAME/           a kernel: vmlinux (ELF), config, modules/ (may be empty), initrd (made by `run`)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CAIRN_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cairn-vm}
me=$(basename "$0")

# Exit code of what cannot be done here, so that tests are skipped with the last line as reason.
NOT_HERE=125
cannot() {
	echo "$me: $*" >&2
	exit $NOT_HERE
}

# need COMMAND=PACKAGE...: all missing packages are named at once.
need() {
	local pair missing=
	for pair; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing="$missing ${pair#*=}"
	done
	[ -z "$missing" ] || cannot "packages are missing:$missing (tools/deps vm)"
}

# package_version PACKAGE: what the package lists offer; fails if they do not know it.
package_version() {
	apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1 | grep .
}

# download PACKAGE: the path of its .deb in the cache, fetched unless it is there.
download() {
	local version deb
	version=$(package_version "$1") || cannot "no package $1 in the package lists (apt-get update)"
	mkdir -p "$cache/deb"
	deb=$(ls "$cache/deb/$1_${version//:/%3a}_"*.deb 2>/dev/null | head -n 1)
	if [ -z "$deb" ]; then
		(cd "$cache/deb" && apt-get -qq download "$1" >&2 2> >(grep -v unsandboxed >&2)) ||
			cannot "$1 could not be downloaded"
		deb=$(ls "$cache/deb/$1_"*.deb | tail -n 1)
	fi
	echo "$deb"
}
