package providers

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// signHTTP signs m as draft-cavage-http-signatures has it, with the headers
// that Fintecture asks for: Date, X-Request-Id, and Digest where there is a
// body. keyID names the key.
func (c *Client) signHTTP(m *message, keyID, correlation string) error {
	m.header.Set("Date", c.now().UTC().Format(http.TimeFormat))
	m.header.Set("X-Request-Id", c.requestID(uuid(correlation)))
	names := []string{"(request-target)", "date", "x-request-id"}
	u := m.plan.request.URL
	lines := []string{"(request-target): " + strings.ToLower(m.plan.request.Method) + " " + u.RequestURI(),
		"date: " + m.header.Get("Date"), "x-request-id: " + m.header.Get("X-Request-Id")}
	if len(m.body) > 0 {
		sum := sha256.Sum256(m.body)
		m.header.Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]))
		names = append(names, "digest")
		lines = append(lines, "digest: "+m.header.Get("Digest"))
	}
	signature := secret.Mask
	if !m.masked {
		key, err := c.signingKey()
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
		b, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			return c.badKey("is too small to sign with").Because(err)
		}
		signature = base64.StdEncoding.EncodeToString(b)
	}
	m.header.Set("Signature", `keyId="`+keyID+`",algorithm="rsa-sha256",headers="`+strings.Join(names, " ")+`",signature="`+signature+`"`)
	return nil
}

// uuid returns "" for what is no UUID: Fintecture takes nothing else.
func uuid(id string) string {
	if len(id) != 36 || strings.Count(id, "-") != 4 {
		return ""
	}
	return id
}

// signingKey reads the RSA key with which requests are signed: PEM, or the
// base64 of its DER, PKCS #1 or #8. A start must not pay for it.
func (c *Client) signingKey() (*rsa.PrivateKey, error) {
	if c.privateKey == nil || c.privateKey().IsZero() {
		name := variable(c.provider, "PRIVATE_KEY_FILE")
		f := fault.New(fault.NotConfigured, c.provider.Title+" wants this request signed, and no key is set", "set "+name+
			" to the file with the private key that belongs to the application, and start the server again")
		f.Provider = c.provider.Name
		return nil, f
	}
	text := reveal(c.privateKey())
	der := []byte(nil)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		der = b
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, c.badKey("is no private key in PEM")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, c.badKey("is no RSA key")
	}
	return key, nil
}

func (c *Client) badKey(what string) *fault.Fault {
	name := variable(c.provider, "PRIVATE_KEY_FILE")
	f := fault.New(fault.NotConfigured, "the key of "+name+" "+what, "name a file with the RSA key (PKCS #1 or #8, no passphrase) that belongs to the application")
	f.Provider = c.provider.Name
	return f
}
