module bearerd/tools/parts/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.20.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
