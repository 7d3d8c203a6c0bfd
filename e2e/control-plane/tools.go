//go:build tools

// Package controlplane names the commands that are built from the modules of
// go.mod, so that `go mod tidy` keeps what they need.
package controlplane

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
