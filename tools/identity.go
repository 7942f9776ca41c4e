package tools

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"bankauth/internal/secret"
)

// canonical writes arguments so that equal ones give equal texts.
func canonical(args map[string]any) string {
	b, err := json.Marshal(args) // keys come out sorted
	if err != nil {
		return ""
	}
	return string(b)
}

// fingerprint tells the clients apart that callers bring along in full
// exposure.
func (s *Set) fingerprint(clientID secret.Value, base string) string {
	sum := sha256.Sum256([]byte(base + "\x00" + clientID.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// restore puts back the arguments that account made a text of.
func restore(args map[string]any, account string) bool {
	switch {
	case account == "":
		return true
	case account[0] == '?':
		return json.Unmarshal([]byte(account[1:]), &args) == nil
	}
	args["scope"] = account
	return true
}
