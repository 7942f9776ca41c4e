// Command provider plays a bank's token endpoint for the benchmark: a fresh
// token for every request, after a delay, and a count of what came.
//
// It prints the address of the endpoint and that of its switches, and serves
// until its standard input ends. The endpoint reads HTTP by hand: it shares
// the processors with what is measured.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
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
	endpoint, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	switches, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	p := &provider{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /delay", p.setDelay)
	mux.HandleFunc("GET /counts", p.counts)
	fmt.Printf("http://%s http://%s\n", endpoint.Addr(), switches.Addr())

	failed := make(chan error, 2)
	go func() { failed <- http.Serve(switches, mux) }()
	go func() { failed <- p.accept(endpoint) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		failed <- nil
	}()
	return <-failed
}

func (p *provider) accept(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		p.connections.Add(1)
		go p.serve(c)
	}
}

// serve answers the requests of one connection until it ends or sends what is
// no request.
func (p *provider) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	var body []byte
	for {
		length, good, err := head(in)
		if err != nil {
			return
		}
		p.calls.Add(1)
		body = append(body[:0], make([]byte, length)...)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		status, text := "400 Bad Request", `{"errors":[{"code":"invalid_request"}]}`
		if good && bytes.Contains(body, []byte("grant_type=client_credentials")) {
			time.Sleep(time.Duration(p.delay.Load()))
			status, text = "200 OK", `{"access_token":"`+rand.Text()+rand.Text()+`","token_type":"Bearer","expires_in":3600}`
		}
		answer := "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(text)) + "\r\n\r\n" + text
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// head reads a request up to its body. It is good where it is what the real
// endpoint takes: the path, Basic, a form.
func head(in *bufio.Reader) (length int, good bool, err error) {
	var path, basic, form bool
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return length, path && basic && form, nil
		}
		if first {
			path = bytes.HasPrefix(line, []byte("POST /oauth/accesstoken HTTP/1.1"))
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(bytes.ToLower(name)) {
		case "authorization":
			basic = bytes.HasPrefix(value, []byte("Basic "))
		case "content-type":
			form = bytes.HasPrefix(value, []byte("application/x-www-form-urlencoded"))
		case "content-length":
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > 1<<16 {
				return 0, false, errors.New("the request's length is none")
			}
		}
	}
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
