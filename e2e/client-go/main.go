// Command client-go-candidate campaigns for one Lease with client-go's own
// leader election and tells what happens as JSON lines on stdout.
//
// Each line carries the CLOCK_BOOTTIME reading of its event, so that a test on
// the same machine can order it against other processes. A line on stdin is
// answered by a "sample". SIGTERM cancels the campaign; a process whose
// leadership was lost for another reason campaigns again.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type options struct {
	kubeconfig      string
	namespace       string
	lease           string
	identity        string
	leaseDuration   time.Duration
	renewDeadline   time.Duration
	retryPeriod     time.Duration
	clientTimeout   time.Duration
	releaseOnCancel bool
}

func main() {
	options := parseOptions()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := campaign(ctx, options); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func parseOptions() options {
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	flag.StringVar(&o.namespace, "namespace", "default", "namespace of the Lease")
	flag.StringVar(&o.lease, "lease", "", "name of the Lease")
	flag.StringVar(&o.identity, "identity", "", "what to write as the holder")
	flag.DurationVar(&o.leaseDuration, "lease-duration", 15*time.Second, "how long standbys wait")
	flag.DurationVar(&o.renewDeadline, "renew-deadline", 10*time.Second, "how long the leader tries to renew")
	flag.DurationVar(&o.retryPeriod, "retry-period", 2*time.Second, "pause between attempts")
	flag.DurationVar(&o.clientTimeout, "client-timeout", usualClientTimeout,
		"how long a request may take; 0 for no limit, below 0 for half of the renew deadline")
	flag.BoolVar(&o.releaseOnCancel, "release-on-cancel", false, "clear the holder when the campaign is cancelled")
	flag.Parse()
	return o
}

func campaign(ctx context.Context, o options) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("reading kubeconfig %s: %w", o.kubeconfig, err)
	}
	lock, err := newLock(config, o)
	if err != nil {
		return fmt.Errorf("making the lock: %w", err)
	}

	// Leading is what the work can know: that its context is alive.
	var leading atomic.Bool
	out := newReporter(o.identity)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:            o.lease,
		Lock:            lock,
		LeaseDuration:   o.leaseDuration,
		RenewDeadline:   o.renewDeadline,
		RetryPeriod:     o.retryPeriod,
		ReleaseOnCancel: o.releaseOnCancel,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(work context.Context) {
				leading.Store(true)
				out.report(line{Event: "started"})
				<-work.Done()
				leading.Store(false)
				out.report(line{Event: "cancelled"})
			},
			OnStoppedLeading: func() { out.report(line{Event: "stopped"}) },
			OnNewLeader:      func(leader string) { out.report(line{Event: "new_leader", Leader: leader}) },
		},
	})
	if err != nil {
		return fmt.Errorf("configuring the election: %w", err)
	}

	go answerProbes(out, &leading)
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return nil
}

func newLock(config *rest.Config, o options) (resourcelock.Interface, error) {
	identity := resourcelock.ResourceLockConfig{Identity: o.identity}
	if o.clientTimeout < 0 {
		// The usual way to a lock: its client's timeout is half of the renew deadline.
		return resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, o.namespace, o.lease, identity,
			config, o.renewDeadline)
	}
	// The way of client-go's own example: a client of the program, with the time limit that it has, if any.
	config.Timeout = o.clientTimeout
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return resourcelock.New(resourcelock.LeasesResourceLock, o.namespace, o.lease, clients.CoreV1(),
		clients.CoordinationV1(), identity)
}

func answerProbes(out *reporter, leading *atomic.Bool) {
	for probes := bufio.NewScanner(os.Stdin); probes.Scan(); {
		state := leading.Load()
		out.report(line{Event: "sample", Leading: &state})
	}
}

const usualClientTimeout = -1
