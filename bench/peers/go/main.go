// The usual ext_authz server in Go: google.golang.org/grpc and go-control-plane, the message decoded in full, one host
// lookup in a map, the answer built for each call.
//
//	peer SOCKET POLICIES.json [encoded]
//
// encoded: answers are encoded once at the start, and a codec hands them through.
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
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type policy struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"` // exact, wildcard or path
	Host  string `json:"host"`
	Path  string `json:"path"`
	Token string `json:"token"`

	answer encoded
}

// encoded is a message that needs no encoding any more.
type encoded []byte

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) ([]byte, error) {
	if bytes, ok := v.(encoded); ok {
		return bytes, nil
	}
	return proto.Marshal(v.(proto.Message))
}

func (codec) Unmarshal(data []byte, v any) error { return proto.Unmarshal(data, v.(proto.Message)) }

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

// matched is the policy of the request, where its route is marked with it.
func (s *server) matched(request *auth.CheckRequest) *policy {
	http := request.GetAttributes().GetRequest().GetHttp()
	p := s.find(http.GetHost(), http.GetPath())
	if p == nil || request.GetAttributes().GetContextExtensions()["policy"] != p.Name {
		return nil
	}
	return p
}

func answerOf(p *policy) *auth.CheckResponse {
	if p == nil {
		return &auth.CheckResponse{Status: &status.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}}}
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
	}
}

func encode(p *policy) encoded {
	bytes, err := proto.Marshal(answerOf(p))
	if err != nil {
		log.Fatal(err)
	}
	return bytes
}

func (s *server) Check(_ context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	return answerOf(s.matched(request)), nil
}

// encodedService is the same service with answers of type encoded.
func encodedService(s *server) *grpc.ServiceDesc {
	pass := encode(nil)
	check := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		request := new(auth.CheckRequest)
		if err := decode(request); err != nil {
			return nil, err
		}
		if p := s.matched(request); p != nil {
			return p.answer, nil
		}
		return pass, nil
	}
	return &grpc.ServiceDesc{
		ServiceName: auth.Authorization_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: check}},
	}
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
	var g *grpc.Server
	if len(os.Args) > 3 && os.Args[3] == "encoded" {
		for _, p := range policies {
			p.answer = encode(p)
		}
		g = grpc.NewServer(grpc.ForceServerCodec(codec{}))
		g.RegisterService(encodedService(s), s)
	} else {
		g = grpc.NewServer()
		auth.RegisterAuthorizationServer(g, s)
	}
	log.Print("listening")
	log.Fatal(g.Serve(listener))
}
