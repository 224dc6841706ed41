//go:build tools

// Package tools names the programs that are built from here, so that go.sum pins them and what they need.
package tools

import (
	_ "istio.io/istio/istioctl/cmd/istioctl"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
