package simulator

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"bankauth/internal/secret"
)

// signing is the application's key pair, made when it is first asked for: it
// takes longer than all the rest of a start.
type signing struct {
	once sync.Once
	key  *rsa.PrivateKey
}

func (s *signing) pair() *rsa.PrivateKey {
	s.once.Do(func() {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(fmt.Sprintf("simulator: making a key: %v", err))
		}
		s.key = key
	})
	return s.key
}

// PrivateKey returns the key with which the one client signs its requests, in
// one line: the base64 of its DER (PKCS #8). Only Fintecture asks for signatures.
func (b *Bank) PrivateKey() secret.Value {
	der, err := x509.MarshalPKCS8PrivateKey(b.signing.pair())
	if err != nil {
		panic(fmt.Sprintf("simulator: writing a key: %v", err))
	}
	return secret.New(base64.StdEncoding.EncodeToString(der))
}

var signature = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^keyId="([^"]*)",algorithm="rsa-sha256",headers="([^"]*)",signature="([^"]*)"$`)
})

// signedBy verifies a request without a body as Fintecture documents it: the
// application's key over (request-target), date and x-request-id, minutes ago
// at most.
func (f *fintecture) signedBy(q *request) bool {
	m := signature().FindStringSubmatch(q.Header.Get("Signature"))
	if m == nil || m[1] != f.client.ID || m[2] != "(request-target) date x-request-id" {
		return false
	}
	at, err := http.ParseTime(q.Header.Get("Date"))
	if age := f.ledger.now().Sub(at); err != nil || age > 5*time.Minute || age < -5*time.Minute {
		return false
	}
	lines := []string{"(request-target): get " + q.RequestURI, "date: " + q.Header.Get("Date"), "x-request-id: " + q.Header.Get("X-Request-Id")}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	b, err := base64.StdEncoding.DecodeString(m[3])
	return err == nil && rsa.VerifyPKCS1v15(&f.signing.pair().PublicKey, crypto.SHA256, sum[:], b) == nil
}
