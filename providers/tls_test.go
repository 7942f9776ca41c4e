package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// authority signs the tests' certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{pool: x509.NewCertPool()}
	a.key, a.cert = issue(t, authority{}, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	return a
}

// issue completes template and signs it; without an authority it signs itself.
func issue(t *testing.T, by authority, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if by.cert != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func config(t *testing.T, by authority, template *x509.Certificate) *tls.Config {
	key, cert := issue(t, by, template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

func TestTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	here := []net.IP{net.IPv4(127, 0, 0, 1)}
	expired := &x509.Certificate{IPAddresses: here, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}
	old := config(t, ca, &x509.Certificate{IPAddresses: here})
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for _, tt := range []struct {
		name   string
		config *tls.Config // nil: no TLS is spoken
		handle func(net.Conn)
		code   fault.Code
		says   string
	}{
		{"good", config(t, ca, &x509.Certificate{IPAddresses: here}), nil, "", ""},
		{"expired", config(t, ca, expired), nil, fault.Unavailable, "certificate"},
		{"other host", config(t, ca, &x509.Certificate{DNSNames: []string{"other.example"}}), nil, fault.Unavailable, "certificate"},
		{"self-signed", config(t, authority{}, &x509.Certificate{IPAddresses: here}), nil, fault.Unavailable, "certificate"},
		{"unknown authority", config(t, stranger, &x509.Certificate{IPAddresses: here}), nil, fault.Unavailable, "certificate"},
		{"TLS 1.1", old, nil, fault.Unavailable, "secure"},
		{"stall in the handshake", nil, stall, fault.Unavailable, ""},
		{"closed in the handshake", nil, func(c net.Conn) { _, _ = c.Read(make([]byte, 10)) }, fault.Unavailable, "secure"},
		{"plain HTTP", nil, func(c net.Conn) { _, _ = io.WriteString(c, ok200(okToken)); stall(c) }, fault.Unavailable, "secure"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s *server
			ready := make(chan struct{})
			s = serve(t, tt.config, func(c net.Conn) {
				<-ready
				if tt.handle != nil {
					tt.handle(c)
					return
				}
				s.answering(ok200(okToken))(c)
			})
			close(ready)
			tr := NewTransport()
			defer tr.CloseIdleConnections()
			tr.TLSClientConfig.RootCAs = ca.pool
			c, err := New(finapi(), Options{BaseURL: "https://" + s.addr, ClientID: secret.New("a"), ClientSecret: secret.New("b"), Transport: tr})
			if err != nil {
				t.Fatal(err)
			}
			_, f := refresh(t, c, patience)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			begun := time.Now()
			reach := fault.From(c.Reachable(ctx))
			if took := time.Since(begun); took > patience+2*time.Second {
				t.Errorf("Reachable took %s, longer than its deadline", took)
			}
			if tt.code == "" {
				if f != nil || reach != nil || s.posts.Load() != 1 {
					t.Errorf("got %v, %v and %d requests", f, reach, s.posts.Load())
				}
				return
			}
			if f == nil || f.Code != tt.code || !strings.Contains(f.Message, tt.says) || s.posts.Load() != 0 {
				t.Errorf("got %+v and %d requests", f, s.posts.Load())
			}
			if reach == nil || reach.Code != tt.code {
				t.Errorf("Reachable: %v", reach)
			}
		})
	}
}

// TestTransportHasNoWeakSpots reads what a connection cannot show.
func TestTransportHasNoWeakSpots(t *testing.T) {
	tr := NewTransport()
	if tr.Proxy != nil || tr.TLSClientConfig.InsecureSkipVerify || tr.TLSClientConfig.MinVersion < tls.VersionTLS12 ||
		!tr.DisableCompression || tr.MaxIdleConnsPerHost < 1024 || tr.ForceAttemptHTTP2 {
		t.Errorf("transport: %+v", tr)
	}
	if fresh := withoutReuse(tr).(*http.Transport); !fresh.DisableKeepAlives || tr.DisableKeepAlives {
		t.Error("only the copy may be without reuse")
	}
}
