package simulator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"bankauth/internal/secret"
)

// The providers' names.
const (
	NameFintecture = "fintecture"
	NameFlinks     = "flinks"
	NameFinAPI     = "finapi"
)

// Credentials are a client's, as a provider hands them to an operator.
type Credentials struct {
	ID     string
	Secret secret.Value
}

// Options says how to simulate. The zero value listens on any free loopback
// ports with made-up credentials.
type Options struct {
	Host     string         // default 127.0.0.1
	Ports    map[string]int // by provider; absent or 0: any free one
	Switches Switches

	// Now tells the time by which tokens live and die, and what the Date
	// header says; nil: time.Now. Delays always take real time.
	Now func() time.Time
	// Rand is where credentials, codes and tokens come from; nil: crypto/rand.
	Rand io.Reader

	// Clients, by provider, replace the made-up credentials.
	Clients map[string]Credentials
	// Redirects are the registered redirect URIs, compared exactly; nil: any.
	Redirects []string
	// Wire, when set, is asked once for each connection and is given every
	// byte received on it, in order, before the byte is looked at.
	Wire func(bank string, connection int64) io.Writer
}

// Simulator is three banks that listen. Its methods may be called at any time
// from any goroutine.
type Simulator struct {
	banks []*Bank
	once  sync.Once
	err   error
	stop  func() bool
}

// Start listens on all ports and serves until ctx ends or Close is called.
func Start(ctx context.Context, o Options) (*Simulator, error) {
	o.Switches = o.Switches.Settled()
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	clock := o.Now
	if o.Now == nil {
		o.Now = time.Now
	}
	random := &random{source: o.Rand}
	if o.Rand == nil {
		random.source = rand.Reader
	}
	s := &Simulator{stop: func() bool { return true }}
	for _, name := range []string{NameFintecture, NameFlinks, NameFinAPI} {
		b, err := openBank(ctx, name, o, clock, random)
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		s.banks = append(s.banks, b)
	}
	for _, b := range s.banks {
		b.serve()
	}
	s.stop = context.AfterFunc(ctx, func() { _ = s.end() })
	return s, nil
}

// Banks returns Fintecture, Flinks and finAPI, in this order.
func (s *Simulator) Banks() []*Bank { return append([]*Bank(nil), s.banks...) }

// Bank returns the bank called name, or nil.
func (s *Simulator) Bank(name string) *Bank {
	for _, b := range s.banks {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// Close ends every connection and every goroutine. It may be called again.
func (s *Simulator) Close() error {
	s.stop()
	return s.end()
}

func (s *Simulator) end() error {
	s.once.Do(func() {
		for _, b := range s.banks {
			s.err = errors.Join(s.err, b.close())
		}
	})
	return s.err
}

func listen(ctx context.Context, host string, port int) (net.Listener, error) {
	var lc net.ListenConfig
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", address, err)
	}
	return l, nil
}

// random serves callers one after another, since a test's source is seldom
// safe for use by many.
type random struct {
	mu     sync.Mutex
	source io.Reader
}

func (r *random) bytes(n int) []byte {
	b := make([]byte, n)
	r.mu.Lock()
	_, err := io.ReadFull(r.source, b)
	r.mu.Unlock()
	if err != nil {
		// A source that ran dry would give one token to two callers.
		panic(fmt.Sprintf("simulator: reading randomness: %v", err))
	}
	return b
}

func (r *random) hex(n int) string { return hex.EncodeToString(r.bytes(n)) }

func (r *random) uuid() string {
	b := r.bytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
