package egress

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"sync"
)

// Keys are what opens a Handler: one for each principal, as long as the
// process lives. A key is no token: it opens the proxy of this start, on this
// machine, and nothing without a token_ref. The zero Keys has given out none.
// It is safe for concurrent use.
type Keys struct {
	mu    sync.Mutex
	given map[string]string            // principal → key
	owner map[[sha256.Size]byte]string // SHA-256 of a key, so that a look-up tells nothing of another → principal
}

// Of returns principal's key, which is made when it is first asked for: a
// segment of a path with 130 random bits.
func (k *Keys) Of(principal string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.given[principal]; ok {
		return key
	}
	if k.given == nil {
		k.given, k.owner = map[string]string{}, map[[sha256.Size]byte]string{}
	}
	key := "key_" + strings.ToLower(rand.Text())
	k.given[principal], k.owner[sha256.Sum256([]byte(key))] = key, principal
	return key
}

// principal returns whose key it is; false for one that nobody was given.
func (k *Keys) principal(key string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	who, ok := k.owner[sha256.Sum256([]byte(key))]
	return who, ok
}
