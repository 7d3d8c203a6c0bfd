package main

import (
	"encoding/json"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// line is one event, as written to stdout.
type line struct {
	Event      string `json:"event"`
	BoottimeNs int64  `json:"boottime_ns"`
	Identity   string `json:"identity"`
	Leader     string `json:"leader,omitempty"`
	Leading    *bool  `json:"leading,omitempty"`
}

// reporter writes lines whole and in the order of their readings.
type reporter struct {
	mutex    sync.Mutex
	identity string
	encoder  *json.Encoder
}

func newReporter(identity string) *reporter {
	return &reporter{identity: identity, encoder: json.NewEncoder(os.Stdout)}
}

func (r *reporter) report(l line) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	l.BoottimeNs, l.Identity = boottimeNs(), r.identity
	if err := r.encoder.Encode(l); err != nil {
		// Nobody reads any more: a candidate that cannot be judged must not lead on.
		os.Exit(1)
	}
}

func boottimeNs() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(err) // Linux has had this clock since 2.6.39.
	}
	return now.Nano()
}
