"""Whether this Pod leads, as leader-elector says it. Standard library only; Python 3.7 or later, on Linux.

Each function gives the fencing token while this Pod leads, and None in every other case: also where nobody answers, or
what is said cannot be read. Ask before each act, and send the token along with each write.
"""

import calendar
import http.client
import json
import sys
import time
import urllib.request


def token_by_file(path="/run/leader/is-leader"):
    """Asks the is-leader file. A sidecar that was killed leaves it behind: it counts only by its time, in its boot."""
    try:
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        leads = (
            said["boot_id"] == boot_id
            and time.clock_gettime_ns(time.CLOCK_BOOTTIME) < said["lead_until_boottime_ns"]
            and time.time() < _seconds(said["lead_until"])
        )
        return said["token"] if leads else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def token_by_http(url="http://127.0.0.1:4040", timeout=1.0):
    """Asks the sidecar itself."""
    # A proxy that the environment names is not for questions within the Pod.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url + "/v1/status", timeout=timeout) as answer:
            said = json.load(answer)
        # The answer may have been under way for long.
        leads = said["state"] == "leader" and time.time() < _seconds(said["lead_until"])
        return said["token"] if leads else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def _seconds(text):
    """Seconds since 1970 of a time as the sidecar writes it: in UTC, with up to nine digits behind the point."""
    whole = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    return whole + float("0" + text[19:].rstrip("Z"))


if __name__ == "__main__":
    ask = {"file": token_by_file, "http": token_by_http}[sys.argv[1]]
    token = ask(*sys.argv[2:])
    if token is None:
        sys.exit("this Pod does not lead")
    print(token)
