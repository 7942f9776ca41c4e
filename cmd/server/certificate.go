package main

import (
	"crypto/tls"
	"errors"
	"sync/atomic"

	"bankauth/internal/config"
	"bankauth/internal/fault"
)

// certificate is what HTTPS is served with; nil where nothing is.
type certificate struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
}

// loadCertificate returns nil where none is named.
func loadCertificate(env config.Environment, cert, key string) (*certificate, error) {
	if cert == "" {
		return nil, nil
	}
	c := &certificate{}
	var err1, err2 error
	c.cert, err1 = env.Path(cert)
	c.key, err2 = env.Path(key)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return c, c.reload()
}

// reload reads the files. Files that cannot be used change nothing.
func (c *certificate) reload() error {
	if c == nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fault.New(fault.NotConfigured, "the files of BANKAUTH_TLS_CERT and BANKAUTH_TLS_KEY cannot be used",
			"name a PEM certificate chain and its PEM key, which this user can read").Because(err)
	}
	c.current.Store(&pair)
	return nil
}

// config returns nil where there is no certificate.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
