// Whether this Pod leads, as leader-elector says it. Standard library only, on Linux.
//
// Each function gives the fencing token while this Pod leads, and false in every other case: also where nobody answers,
// or what is said cannot be read. Ask before each act, and send the token along with each write.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// TokenByFile asks the is-leader file. A sidecar that was killed leaves it behind: it counts only by its time, in its
// boot.
func TokenByFile(path string) (token uint64, leads bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	var said struct {
		Token               uint64    `json:"token"`
		LeadUntil           time.Time `json:"lead_until"`
		LeadUntilBoottimeNs int64     `json:"lead_until_boottime_ns"`
		BootID              string    `json:"boot_id"`
	}
	if json.Unmarshal(text, &said) != nil {
		return 0, false
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || said.BootID != strings.TrimSpace(string(bootID)) {
		return 0, false
	}
	now, err := boottime()
	if err != nil || now.Nanoseconds() >= said.LeadUntilBoottimeNs {
		return 0, false
	}
	return said.Token, time.Now().Before(said.LeadUntil)
}

// TokenByHTTP asks the sidecar itself, such as at http://127.0.0.1:4040.
func TokenByHTTP(url string) (token uint64, leads bool) {
	answer, err := client.Get(url + "/v1/status")
	if err != nil {
		return 0, false
	}
	defer answer.Body.Close()
	var said struct {
		State     string    `json:"state"`
		Token     uint64    `json:"token"`
		LeadUntil time.Time `json:"lead_until"`
	}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&said) != nil {
		return 0, false
	}
	// The answer may have been under way for long.
	return said.Token, said.State == "leader" && time.Now().Before(said.LeadUntil)
}

// The time limit is for the whole answer. A proxy that the environment names is not for questions within the Pod.
var client = http.Client{Timeout: time.Second, Transport: &http.Transport{Proxy: nil}}

// Reads CLOCK_BOOTTIME, which the standard library does not know, and the kernel also tells here, rounded down to 10 ms.
// unix.ClockGettime of golang.org/x/sys is exact.
func boottime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	seconds, _, _ := strings.Cut(string(text), " ")
	rounded, err := time.ParseDuration(seconds + "s")
	return rounded + 10*time.Millisecond, err
}

func main() {
	ask := map[string]func(string) (uint64, bool){"file": TokenByFile, "http": TokenByHTTP}[os.Args[1]]
	token, leads := ask(os.Args[2])
	if !leads {
		fmt.Fprintln(os.Stderr, "this Pod does not lead")
		os.Exit(1)
	}
	fmt.Println(token)
}
