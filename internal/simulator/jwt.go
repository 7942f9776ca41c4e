package simulator

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// claims are a Flinks token's. jti keeps two tokens of one second apart.
type claims struct {
	ClientID string `json:"client_id"`
	Subject  string `json:"sub,omitempty"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
}

// signer makes JWTs (RFC 7519).
type signer struct {
	header string
	key    []byte          // HS256
	rsa    *rsa.PrivateKey // RS256
}

func newSigner(algorithm string, r *random) (*signer, error) {
	s := &signer{header: segment([]byte(`{"alg":"` + algorithm + `","typ":"JWT"}`))}
	if algorithm == "RS256" {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		s.rsa = key
		return s, err
	}
	s.key = r.bytes(32)
	return s, nil
}

func (s *signer) sign(c claims) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts and numbers only
	}
	text := s.header + "." + segment(body)
	return text + "." + segment(s.seal([]byte(text)))
}

func (s *signer) seal(text []byte) []byte {
	if s.rsa == nil {
		m := hmac.New(sha256.New, s.key)
		m.Write(text)
		return m.Sum(nil)
	}
	sum := sha256.Sum256(text)
	seal, err := rsa.SignPKCS1v15(rand.Reader, s.rsa, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // the key is ours
	}
	return seal
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
