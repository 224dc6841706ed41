//go:build tools

// Package tools names the programs that are built from here, so that go.sum pins them and what they need.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
