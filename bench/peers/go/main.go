// The usual ext_authz server in Go: google.golang.org/grpc and go-control-plane, the message decoded in full, one host
// lookup in a map, the answer built for each call.
//
//	peer SOCKET POLICIES.json
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type policy struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"` // exact, wildcard or path
	Host  string `json:"host"`
	Path  string `json:"path"`
	Token string `json:"token"`
}

type server struct {
	exact, wildcard map[string]*policy
	paths           map[string]map[string]*policy
}

func (s *server) find(host, path string) *policy {
	if p := s.exact[host]; p != nil {
		return p
	}
	if byPath := s.paths[host]; byPath != nil {
		path, _, _ = strings.Cut(path, "?")
		for {
			if p := byPath[path]; p != nil {
				return p
			}
			end := strings.LastIndexByte(path, '/')
			if end <= 0 {
				return nil
			}
			path = path[:end]
		}
	}
	for {
		_, rest, found := strings.Cut(host, ".")
		if !found {
			return nil
		}
		if p := s.wildcard[rest]; p != nil {
			return p
		}
		host = rest
	}
}

func (s *server) Check(_ context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	http := request.GetAttributes().GetRequest().GetHttp()
	p := s.find(http.GetHost(), http.GetPath())
	if p == nil || request.GetAttributes().GetContextExtensions()["policy"] != p.Name {
		return &auth.CheckResponse{Status: &status.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}}}, nil
	}
	return &auth.CheckResponse{
		Status: &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{{
				Header:       &core.HeaderValue{Key: "authorization", Value: "Bearer " + p.Token},
				Append:       wrapperspb.Bool(false),
				AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}},
		}},
	}, nil
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	var policies []*policy
	if err := json.Unmarshal(text, &policies); err != nil {
		log.Fatal(err)
	}
	s := &server{map[string]*policy{}, map[string]*policy{}, map[string]map[string]*policy{}}
	for _, p := range policies {
		switch p.Kind {
		case "exact":
			s.exact[p.Host] = p
		case "wildcard":
			s.wildcard[p.Host] = p
		default:
			if s.paths[p.Host] == nil {
				s.paths[p.Host] = map[string]*policy{}
			}
			s.paths[p.Host][p.Path] = p
		}
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	g := grpc.NewServer()
	auth.RegisterAuthorizationServer(g, s)
	log.Print("listening")
	log.Fatal(g.Serve(listener))
}
