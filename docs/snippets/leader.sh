#!/bin/sh
# Whether this Pod leads, as leader-elector says it. POSIX sh, sed and date; curl for HTTP; on Linux.
#
# Each function prints the fencing token while this Pod leads, and fails in every other case: also where nobody answers,
# or what is said cannot be read. Ask before each act, and send the token along with each write.
#
# With the program in the container, `leader-elector check --quiet --file /run/leader/is-leader` does the first.

# Asks the is-leader file. A sidecar that was killed leaves it behind: it counts only by its time, in its boot.
token_by_file() {
    said=$(cat "${1:-/run/leader/is-leader}" 2>/dev/null) || return 1
    read -r boot_id </proc/sys/kernel/random/boot_id
    [ "$(field boot_id)" = "$boot_id" ] || return 1
    # CLOCK_BOOTTIME in hundredths of a second, rounded down: now is before the next one.
    read -r uptime _ </proc/uptime
    now=$((${uptime%.*} * 100 + 1${uptime#*.} - 100))
    limit=$(field lead_until_boottime_ns)
    [ "$((now + 1))" -le "$((${limit:-0} / 10000000))" ] || return 1
    is_before "$(field lead_until)" || return 1
    field token
}

# Asks the sidecar itself.
token_by_http() {
    # A proxy that the environment names is not for questions within the Pod.
    said=$(curl --silent --fail --noproxy '*' --max-time 1 "${1:-http://127.0.0.1:4040}/v1/status") || return 1
    [ "$(field state)" = leader ] || return 1
    # The answer may have been under way for long.
    is_before "$(field lead_until)" || return 1
    field token
}

# The value of a field of what was said; fails if it is not there, or has no end.
field() {
    value=$(printf '%s\n' "$said" | sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\)[",}].*/\1/p')
    [ -n "$value" ] && [ "$value" != null ] && printf '%s\n' "$value"
}

# Whether it is earlier than this time, in whole seconds: at most a second too soon, it is not.
is_before() {
    end=$(printf '%s' "${1%%[.Z]*}" | tr -cd 0-9)
    [ "$(date -u +%Y%m%d%H%M%S)" -lt "${end:-0}" ]
}

case "${1:-}" in
file | http)
    how=$1
    shift
    "token_by_$how" "$@" || { echo "this Pod does not lead" >&2; exit 1; }
    ;;
esac
