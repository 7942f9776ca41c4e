// Command provider plays a bank's token endpoint for the benchmark: a fresh
// token for every request, after a delay, and a count of what came.
//
// It prints its address and serves until its standard input ends.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

type provider struct {
	delay       atomic.Int64 // nanoseconds
	calls       atomic.Int64
	connections atomic.Int64
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	p := &provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/accesstoken", p.token)
	mux.HandleFunc("POST /bench/delay", p.setDelay)
	mux.HandleFunc("GET /bench/counts", p.counts)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ConnState: p.count}
	fmt.Println("http://" + listener.Addr().String())

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return fmt.Errorf("serving: %w", err)
	}
	<-ended
	return nil
}

func (p *provider) count(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		p.connections.Add(1)
	}
}

// token is as strict as the real one: Basic, a form, a known grant.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	id, secret, ok := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if !ok || id == "" || secret == "" || r.PostFormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"errors":[{"code":"invalid_request"}]}`)
		return
	}
	if d := time.Duration(p.delay.Load()); d > 0 {
		time.Sleep(d)
	}
	var b []byte
	b = append(b, `{"access_token":"`...)
	b = append(b, rand.Text()...)
	b = append(b, rand.Text()...)
	b = append(b, `","token_type":"Bearer","expires_in":3600}`...)
	_, _ = w.Write(b)
}

func (p *provider) setDelay(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil {
		http.Error(w, "ms is a number", http.StatusBadRequest)
		return
	}
	p.delay.Store(int64(time.Duration(ms) * time.Millisecond))
}

func (p *provider) counts(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]int64{"calls": p.calls.Load(), "connections": p.connections.Load()})
}
