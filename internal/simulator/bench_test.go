package simulator_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"bankauth/internal/simulator"
)

// BenchmarkToken measures the bank and a plain client together.
func BenchmarkToken(b *testing.B) {
	s, err := simulator.Start(context.Background(), simulator.Options{Clients: known(simulator.NameFintecture)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	bank := s.Bank(simulator.NameFintecture)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	body := pis
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, _ := http.NewRequest(http.MethodPost, bank.URL()+"/oauth/accesstoken", strings.NewReader(body))
			req.SetBasicAuth(clientID, clientSecret)
			req.Header.Set("Content-Type", asForm)
			res, err := transport.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			if res.StatusCode != http.StatusOK {
				b.Fatal(res.Status)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
}
