// What a client in Go does to a gRPC server: unary calls from many goroutines, deadlines, cancellation, and a
// bidirectional stream whose messages are larger than a frame. Prints one line of JSON; ends with 1 at a wrong answer.
//
//	go-client unix:///PATH
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// raw hands messages through as they are.
type raw struct{}

func (raw) Name() string                    { return "proto" }
func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

var told = map[string]int{}

func main() {
	connection, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	unary(connection)
	statuses(connection)
	stream(connection)
	json.NewEncoder(os.Stdout).Encode(told)
}

func unary(connection *grpc.ClientConn) {
	var group sync.WaitGroup
	const callers, calls = 20, 200
	for c := range callers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range calls {
				question := []byte(fmt.Sprintf("%d/%d %s", c, i, bytes.Repeat([]byte("x"), i*100)))
				var answer []byte
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				if err := connection.Invoke(ctx, "/t.T/Echo", &question, &answer); err != nil {
					log.Fatal(err)
				}
				cancel()
				if !bytes.Equal(question, answer) {
					log.Fatalf("call %d of caller %d was answered with %d other bytes", i, c, len(answer))
				}
			}
		}()
	}
	group.Wait()
	told["unary"] = callers * calls
}

func statuses(connection *grpc.ClientConn) {
	ask := func(ctx context.Context, path string) codes.Code {
		question, answer := []byte("x"), []byte{}
		return status.Code(connection.Invoke(ctx, path, &question, &answer))
	}
	background := context.Background()
	told["unknown_method"] = int(ask(background, "/t.T/Unknown"))
	short, end := context.WithTimeout(background, 50*time.Millisecond)
	defer end()
	told["deadline"] = int(ask(short, "/t.T/Waits"))
	cancelled, cancel := context.WithCancel(background)
	time.AfterFunc(20*time.Millisecond, cancel)
	told["cancelled"] = int(ask(cancelled, "/t.T/Waits"))
}

func stream(connection *grpc.ClientConn) {
	description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	s, err := connection.NewStream(context.Background(), description, "/t.T/EchoStream")
	if err != nil {
		log.Fatal(err)
	}
	const messages = 500
	go func() {
		for i := range messages {
			message := bytes.Repeat([]byte{byte(i)}, i*200)
			if err := s.SendMsg(&message); err != nil {
				log.Fatal(err)
			}
		}
		s.CloseSend()
	}()
	for i := range messages {
		var message []byte
		if err := s.RecvMsg(&message); err != nil {
			log.Fatal(err)
		}
		if !bytes.Equal(message, bytes.Repeat([]byte{byte(i)}, i*200)) {
			log.Fatalf("message %d came back as %d bytes", i, len(message))
		}
	}
	var rest []byte
	if err := s.RecvMsg(&rest); err != io.EOF {
		log.Fatalf("after the last message: %v", err)
	}
	told["stream"] = messages
}
