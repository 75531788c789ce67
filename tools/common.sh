# Sourced by the scripts beside it: packages, configuring, building. Bash 5; no python.
#
# A phase prints one line with the time it took and writes what its command said to a log; when it fails, the log's
# tail is printed and where the whole of it is. On a terminal the running phase shows how far it is.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Paths below the root do not count for ccache: another clone on the same machine finds what this one compiled.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

fail() {
  printf 'qiao: %s\n' "$*" >&2
  exit 1
}

# Milliseconds since the shell started.
now_ms() {
  local t=${EPOCHREALTIME/[.,]/}
  echo $((10#$t / 1000))
}

# format_ms MILLISECONDS: "0.4 s", "2 min 05 s".
format_ms() {
  if (($1 < 60000)); then
    printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100))
  else
    printf '%d min %02d s' $(($1 / 60000)) $(($1 / 1000 % 60))
  fi
}

# Compilers with heavy templates take up to 2 GiB each: as many jobs as processors, fewer where memory is short.
job_count() {
  local jobs memory
  jobs=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 2097152) }' /proc/meminfo)
  ((memory < jobs)) && jobs=$memory
  ((jobs < 1)) && jobs=1
  echo "$jobs"
}

# phase NAME LOG COMMAND...: runs the command with its output in LOG. Prints nothing for a phase that took less than
# half a second, so that a second run goes straight to its purpose.
phase() {
  local name=$1 log=$2 begin pid status=0 last=0 spent
  shift 2
  mkdir -p "$(dirname "$log")"
  begin=$(now_ms)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # What runs in the background does not see Ctrl-C.
  trap 'kill "$pid" 2>/dev/null; printf "\n" >&2; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.05
    spent=$(($(now_ms) - begin))
    if [[ -t 2 ]]; then
      # Ninja's "[12/300] ..." is the best measure there is.
      ((spent > 500)) && printf '\r%-12s %-10s %s \033[K' "$name" \
        "$(tail -c 4096 "$log" | grep -o '^\[[0-9]*/[0-9]*\]' | tail -1 | tr -d '[]')" "$(format_ms $spent)" >&2
    elif ((spent - last > 60000)); then
      last=$spent
      printf '%-12s %s %s\n' "$name" "$(tail -c 4096 "$log" | grep -o '^\[[0-9]*/[0-9]*\]' | tail -1)" \
        "$(format_ms $spent)" >&2
    fi
  done
  wait "$pid" || status=$?
  trap - INT TERM
  spent=$(($(now_ms) - begin))
  [[ -t 2 ]] && printf '\r\033[K' >&2
  if ((status != 0)); then
    printf '%-12s failed after %s. The end of %s:\n\n' "$name" "$(format_ms $spent)" "$log" >&2
    # Ninja goes on with other jobs for a while: the first failure matters most.
    if grep -q '^FAILED:' "$log"; then
      grep -A 20 '^FAILED:' "$log" | head -40 >&2
    else
      tail -30 "$log" >&2
    fi
    printf '\nThe whole log: %s\n' "$log" >&2
    exit "$status"
  fi
  ((spent < 500)) || printf '%-12s %s\n' "$name" "$(format_ms $spent)" >&2
}

# The packages of tools/packages.txt that are not installed, one a line.
missing_packages() {
  local wanted
  wanted=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${1:-$ROOT/tools/packages.txt}")
  # shellcheck disable=SC2086  # one word a package
  comm -23 <(sort <<<"$wanted") \
    <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

install_missing() {
  # shellcheck disable=SC2086
  ${SUDO:-} env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update -q &&
    ${SUDO:-} env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -q \
      --no-install-recommends "$@"
}

# Sets SUDO to what must stand before an installing command; ends the script, naming the command $1 for root, where this
# user may not install.
allow_installing() {
  SUDO=
  ((EUID == 0)) && return
  command -v sudo >/dev/null || fail "packages are missing and this user may not install them. As root: $1"
  SUDO=sudo
  sudo -v || fail "packages are missing. As root: $1"
}

# Installs what is missing, on Debian and what descends from it; elsewhere CMake says what it does not find.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null; then
    command -v cmake >/dev/null && command -v ninja >/dev/null ||
      fail "this is not a Debian system, so nothing can be installed for you: install what tools/packages.txt lists \
(names are Debian's), then run this again"
    return
  fi
  local missing
  missing=$(missing_packages)
  [[ -z $missing ]] && return
  # shellcheck disable=SC2086
  set -- $missing
  allow_installing "apt-get install $*"
  printf 'installing   %s\n' "$*" >&2
  phase packages "$BUILD/logs/packages.log" install_missing "$@"
}

# configure OPTIONS...: sets up $BUILD. Only what CMake was last told counts: with the same options nothing is done
# here, and ninja itself configures again when a CMake file has changed.
configure() {
  local told=$BUILD/logs/configured
  if [[ -f $BUILD/build.ninja && -f $told && $(<"$told") == "$*" ]]; then
    ninja -C "$BUILD" build.ninja >/dev/null # new files may make new targets
    return
  fi
  if [[ -f $BUILD/CMakeCache.txt ]] && ! grep -q '^CMAKE_GENERATOR:INTERNAL=Ninja$' "$BUILD/CMakeCache.txt"; then
    fail "$BUILD was configured without Ninja; remove it and run this again"
  fi
  phase configuring "$BUILD/logs/configure.log" cmake -S "$ROOT" -B "$BUILD" -G Ninja "$@"
  printf '%s' "$*" >"$told"
}

# build TARGETS...: in $BUILD.
build() {
  phase building "$BUILD/logs/build.log" ninja -C "$BUILD" -j "$(job_count)" "$@"
}
