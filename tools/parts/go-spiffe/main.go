// Command go-spiffe asks a SPIFFE Workload API as an independent client does, and prints what it got as JSON:
//
//	go-spiffe SOCKET AUDIENCE [AUDIENCE ...]
//
// It fetches JWT-SVIDs and JWT bundles and verifies each SVID with the bundle of its trust domain.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type verified struct {
	ID       string   `json:"id"`
	Audience []string `json:"audience"`
	Expiry   int64    `json:"expiry"`
}

func run(socket string, audiences []string) ([]verified, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(socket))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer client.Close()
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return nil, fmt.Errorf("bundles: %w", err)
	}
	svids, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: audiences[0], ExtraAudiences: audiences[1:]})
	if err != nil {
		return nil, fmt.Errorf("svids: %w", err)
	}
	var all []verified
	for _, svid := range svids {
		for _, audience := range audiences {
			if _, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{audience}); err != nil {
				return nil, fmt.Errorf("svid %s for %s: %w", svid.ID, audience, err)
			}
		}
		all = append(all, verified{ID: svid.ID.String(), Audience: svid.Audience, Expiry: svid.Expiry.UnixMilli()})
	}
	return all, nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: go-spiffe SOCKET AUDIENCE [AUDIENCE ...]")
		os.Exit(2)
	}
	svids, err := run(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(svids)
}
