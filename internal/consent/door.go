package consent

import (
	"cmp"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"bankauth/internal/fault"
)

// linger is how long the door stays open after the last consent: a page that
// is loaded again shall say what became of it.
const linger = time.Minute

// door is the loopback listener, open while a consent waits, so that two
// processes can share a port that is registered with a provider.
type door struct {
	base   string
	server *http.Server
	served chan struct{}
	timer  *time.Timer // closes it
	until  time.Time   // not before; guarded by Consents.mu
}

// keep lets the door be open for a while yet. Consents.mu is held.
func (d *door) keep(open time.Duration) {
	d.until = time.Now().Add(open)
	d.timer.Reset(open)
}

// listen returns the address at which browsers find us, and keeps the door open
// for the consent called ref.
func (s *Consents) listen(ctx context.Context, ref string, until time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return "", fault.New(fault.Unavailable, "the server is stopping", "start it again, then call again")
	}
	if s.base != "" {
		return s.base, nil
	}
	if s.door != nil {
		s.open[ref] = until
		s.door.keep(life + linger)
		return s.door.base, nil
	}
	address := cmp.Or(s.o.Listen, "127.0.0.1:0")
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return "", fault.New(fault.Unavailable, "the address for the browser's way back cannot be listened on: another process waits for a consent there, or the port is taken",
			"call again once the other consent is finished, or set BANKAUTH_CONSENT_LISTEN to another address and register it with the provider").Because(err)
	}
	host, _, _ := net.SplitHostPort(address) // it was just listened on
	_, port, _ := net.SplitHostPort(l.Addr().String())
	host = net.JoinHostPort(host, port)
	d := &door{base: "http://" + host, served: make(chan struct{})}
	d.server = &http.Server{Handler: only(host, s), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 32 << 10,
		ErrorLog: log.New(io.Discard, "", 0)}
	go func() { defer close(d.served); _ = d.server.Serve(l) }() // it ends with close
	d.timer = time.AfterFunc(life+linger, func() { s.shut(d) })
	d.keep(life + linger)
	s.door = d
	s.open[ref] = until
	return d.base, nil
}

// only refuses requests that name another host: a web page may have its own
// name lead to this machine.
func only(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host {
			show(w, http.StatusMisdirectedRequest, "This is not the address", "Nothing was done.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// over says that the consent called ref is over: where the door is open for no
// other, it closes soon.
func (s *Consents) over(ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ref)
	if s.door == nil {
		return
	}
	for ref, until := range s.open {
		if s.o.Now().Before(until) {
			return
		}
		delete(s.open, ref)
	}
	s.door.keep(linger)
}

// shut closes a door that nobody needs any more: a consent may have come
// while the timer ran out.
func (s *Consents) shut(d *door) {
	s.mu.Lock()
	mine := s.door == d && !time.Now().Before(d.until)
	if mine {
		s.door = nil
	}
	s.mu.Unlock()
	if mine {
		ctx, cancel := context.WithTimeout(context.Background(), linger)
		defer cancel()
		_ = d.close(ctx) // whoever still reads a page has had a minute
	}
}

func (d *door) close(ctx context.Context) error {
	d.timer.Stop()
	err := d.server.Shutdown(ctx)
	if err != nil {
		_ = d.server.Close()
	}
	<-d.served
	return err
}
