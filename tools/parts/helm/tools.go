//go:build tools

// Package tools names the program that is built from here, so that go.sum pins it and what it needs.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
