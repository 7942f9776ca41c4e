package egress_test

import (
	"strings"
	"testing"

	"bankauth/internal/simulator"
)

// bypasses are attempts to lead a token elsewhere, to reach what the path does
// not say, or to use the proxy without being its owner's program. HOST, KEY,
// NEIGHBOUR (another principal's key), REF and OTHER (another provider's
// token_ref) are filled in; a line ends in \r\n, and the blank line is added.
var bypasses = map[string]string{
	"absolute form":                   "GET http://evil.example/KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"absolute form of ourselves":      "GET http://HOST/KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"absolute form, https":            "GET https://ob.flinksapp.com/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"absolute form with userinfo":     "GET http://flinks@evil.example/KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"userinfo of ourselves":           "GET http://x:y@HOST/KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"another scheme":                  "GET file:///etc/passwd HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"connect":                         "CONNECT evil.example:443 HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"connect with a path":             "CONNECT /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"asterisk":                        "OPTIONS * HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"options":                         "OPTIONS /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"trace":                           "TRACE /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"a method of its own":             "PROPFIND /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"a method in lower case":          "get /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"HTTP/2 preface":                  "PRI * HTTP/2.0\n\nSM",
	"h2c":                             "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__",
	"websocket":                       "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13",
	"upgrade without connection":      "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nUpgrade: websocket",
	"connection upgrade alone":        "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nConnection: keep-alive, uPgRaDe",
	"no host":                         "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nAuthorization: Bearer REF",
	"two hosts":                       "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nHost: evil.example\nAuthorization: Bearer REF",
	"rebound host":                    "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: evil.example\nAuthorization: Bearer REF",
	"rebound host with our port":      "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: evil.example:PORT\nAuthorization: Bearer REF",
	"host without port":               "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: 127.0.0.1\nAuthorization: Bearer REF",
	"host with userinfo":              "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: x@HOST\nAuthorization: Bearer REF",
	"host of the bank":                "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: ob.flinksapp.com\nAuthorization: Bearer REF",
	"HTTP/1.0 without host":           "GET /KEY/flinks/api/v1/accounts HTTP/1.0\nAuthorization: Bearer REF",
	"HTTP/0.9":                        "GET /KEY/flinks/api/v1/accounts",
	"dots":                            "GET /KEY/flinks/api/../v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"dots out of the provider":        "GET /KEY/flinks/../finapi/api/v2/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"encoded dots":                    "GET /KEY/flinks/api/%2e%2e/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"half encoded dots":               "GET /KEY/flinks/api/.%2E/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"dots encoded twice":              "GET /KEY/flinks/api/%252e%252e/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"dots encoded often":              "GET /KEY/flinks/api/%2525252525252e%2e/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"dots with a parameter":           "GET /KEY/flinks/api/..;/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"dots with an encoded parameter":  "GET /KEY/flinks/api/..%3bx=1/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"dots with a space":               "GET /KEY/flinks/api/..%20/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"overlong dots":                   "GET /KEY/flinks/api/%c0%ae%c0%ae/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"wide dots":                       "GET /KEY/flinks/api/%ef%bc%8e%ef%bc%8e/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"one dot":                         "GET /KEY/flinks/./api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"trailing dots":                   "GET /KEY/flinks/api/v1/accounts/.. HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"encoded slash":                   "GET /KEY/flinks/api%2Fv1%2Faccounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"slash encoded twice":             "GET /KEY/flinks/api%252Fv1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"backslash":                       `GET /KEY/flinks/api\v1\accounts HTTP/1.1` + "\nHost: HOST\nAuthorization: Bearer REF",
	"encoded backslash":               "GET /KEY/flinks/api%5c..%5cv1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"wide slash":                      "GET /KEY/flinks/api%ef%bc%8fv1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"host as a segment":               "GET /KEY/flinks//evil.example/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"host at the beginning":           "GET //evil.example/KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"provider with userinfo":          "GET /KEY/flinks@evil.example/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"provider with a host":            "GET /KEY/flinks.evil.example/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"provider with a port":            "GET /KEY/flinks:8080/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"provider that is a host":         "GET /KEY/evil.example/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"provider in capitals":            "GET /KEY/FLINKS/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"encoded provider":                "GET /KEY/%66links/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"encoded line break":              "GET /KEY/flinks/api/v1/accounts%0d%0aHost:%20evil.example HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"line break encoded twice":        "GET /KEY/flinks/api/v1/accounts%250d%250aX:y HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"line break in the query":         "GET /KEY/flinks/api/v1/accounts?x=%0d%0aHost:%20evil.example HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"bare line feed in the path":      "GET /KEY/flinks/api/v1/acc\x0bounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"NUL":                             "GET /KEY/flinks/api/v1/accounts%00 HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"fragment":                        "GET /KEY/flinks/api/v1/accounts#@evil.example/ HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"space in the path":               "GET /KEY/flinks/api/v1/acc ounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"an escape that is none":          "GET /KEY/flinks/api/v1/acc%zzounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"no path of the provider":         "GET /KEY/flinks HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"space before the colon":          "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization : Bearer REF",
	"another method by header":        "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nX-HTTP-Method-Override: DELETE\nContent-Length: 0",
	"another method by a third name":  "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nX-Method-Override: DELETE\nContent-Length: 0",
	"another path by header":          "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nX-Original-URL: /api/v1/revoke",
	"another path by another header":  "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nX-Rewrite-URL: /api/v1/revoke",
	"two lengths":                     "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: 0\nContent-Length: 5",
	"a length that is none":           "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: +5",
	"an encoding of its own":          "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nTransfer-Encoding: xchunked",
	"chunked twice":                   "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n",
	"trailers":                        "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nTrailer: X-Late\nTransfer-Encoding: chunked\n\n0\nX-Late: y\n",
	"too large":                       "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: 16777217",
	"no key":                          "GET /flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"a wrong key":                     "GET /key_aaaabbbbccccddddeeeeffffgggghhhi/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"an empty key":                    "GET /flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nBankauth-Key:",
	"two keys":                        "GET /flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nBankauth-Key: KEY\nBankauth-Key: KEY",
	"a wrong key by header":           "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nBankauth-Key: x",
	"another principal's key":         "GET /NEIGHBOUR/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"the key in another place":        "GET /flinks/KEY/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"a page in a browser":             "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nOrigin: https://evil.example",
	"no bearer":                       "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST",
	"an access token as bearer":       "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
	"basic":                           "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Basic REF",
	"two bearers":                     "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nAuthorization: Bearer REF",
	"the token_ref in the query":      "GET /KEY/flinks/api/v1/accounts?access_token=REF HTTP/1.1\nHost: HOST",
	"the token_ref by another header": "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nProxy-Authorization: Bearer REF",
	"another provider's token":        "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer OTHER",
	"this token to another provider":  "GET /KEY/finapi/api/v2/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"a token that nobody has":         "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"the token endpoint":              "POST /KEY/flinks/api/v1/token HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: 0",
	"the token endpoint, disguised":   "POST /KEY/flinks/API/v1/%74oken;x=1/ HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: 0",
	"the token endpoint, read":        "GET /KEY/flinks/api/v1/token HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"the token endpoint, and a query": "POST /KEY/flinks/api/v1/token%3Fx HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: 0",
	"a method override, underscored":  "POST /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nX_HTTP_METHOD_OVERRIDE: DELETE\nContent-Length: 0",
	"an override of the URL":          "GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nX-Override-Url: /api/v1/token",
	"the revocation endpoint":         "POST /KEY/flinks/api/v1/revoke HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nContent-Length: 0",
	"a consent, page and all":         "GET /KEY/flinks/api/v1/authorize?response_type=code HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"the call that opens a consent":   "GET /KEY/fintecture/ais/v2/connect?redirect_uri=x HTTP/1.1\nHost: HOST\nAuthorization: Bearer OWN",
	"the users, password and all":     "POST /KEY/finapi/api/v2/users HTTP/1.1\nHost: HOST\nAuthorization: Bearer OTHER\nContent-Length: 0",
	"the header itself as a line":     "\nGET /KEY/flinks/api/../accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
	"nothing that is HTTP":            "\x16\x03\x01\x02\x00\x01\x00",
}

func TestBypassesAreRefused(t *testing.T) {
	h := open(t)
	fill := strings.NewReplacer("HOST", h.address, "PORT", h.address[strings.LastIndex(h.address, ":")+1:], "KEY", key, "NEIGHBOUR", keys.Of("neighbour"), "OWN", h.user(simulator.NameFintecture),
		"REF", h.user(simulator.NameFlinks), "OTHER", h.user(simulator.NameFinAPI), "\n", "\r\n")
	raw := func(text string) string { return h.raw(fill.Replace(text) + "\r\nConnection: close\r\n\r\n") }
	before := h.requests()
	// What is refused below differs from this in one thing.
	for _, good := range []string{
		"GET /KEY/flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF",
		"GET /flinks/api/v1/accounts HTTP/1.1\nHost: HOST\nAuthorization: Bearer REF\nBankauth-Key: KEY",
		"GET /KEY/flinks/api/v1/accounts?x=%2e%2e/%2F&y=a%20b HTTP/1.1\nHost: HOST\nauthorization: bearer REF",
	} {
		if line := raw(good); status(line) != 200 {
			t.Fatalf("%q: got %q", good, line)
		}
	}
	if n := h.requests() - before; n != 3 {
		t.Fatalf("the good requests made %d at the bank", n)
	}
	h.wire.take()
	before = h.requests()
	for name, text := range bypasses {
		line := raw(text)
		if code := status(line); line != "" && code < 400 {
			t.Errorf("%s: got %q", name, line)
		}
		if h.requests() != before || h.wire.take() != "" {
			t.Errorf("%s: something was sent to a bank", name)
			before = h.requests()
		}
	}
	if len(bypasses) < 50 {
		t.Errorf("only %d attempts", len(bypasses))
	}
	t.Logf("%d attempts refused", len(bypasses))
}
